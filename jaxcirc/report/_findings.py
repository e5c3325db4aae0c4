"""What happened, in plain numbers."""

import functools
import json
from collections.abc import Mapping

import xarray as xr

from ._attempt import Failure, attempt
from ._nodes import has_namesake, measured, nodes_of, view_of
from ._results import step_text
from ._section import Node
from ._state import non_finite_steps, state_sentences


def findings(tree: xr.DataTree) -> list[str]:
    """Sentences about a study's results, each with its numbers.

    First come those on the state of the run, if it is not whole. Then every row of
    the study is told by its section, and so is every row that failed. Steps are those
    of checkpoints: "first at step 300" means that it holds at the checkpoint of step
    300 and did not at the one before.

    Args:
        tree: What `jaxcirc.study.Study.open` returns. Only arrays that a sentence is
            about are read.

    Returns:
        Sentences in the order of the study's rows. A section that cannot tell is
        replaced by its reason, and warned of.

    Example:
        >>> findings(xr.DataTree())
        ['Nothing has been measured yet.']
    """
    nodes = nodes_of(tree)
    sentences = state_sentences(tree)
    for name, node in nodes.items():
        # Rows of one kind say the same words of different numbers.
        of = f"{name}: " if has_namesake(name, nodes) else ""
        sentences += [of + sentence for sentence in _told(name, nodes)]
        sentences += _failures(name, node.data)
    if not any(node.data.data_vars for node in measured(nodes).values()):
        sentences.append("Nothing has been measured yet.")
    return sentences


def _told(name: str, nodes: Mapping[str, Node]) -> list[str]:
    """The sentences of a row's section, or why it cannot tell."""
    node = nodes[name]
    # Without a number there is nothing to tell, except of what was looked for in vain.
    if node.section.measured and not node.data.data_vars:
        return []
    tell = functools.partial(node.section.findings, view_of(name, nodes))
    found = attempt(f"What {name} found", tell)
    return [found.reason] if isinstance(found, Failure) else list(found)


def _failures(name: str, data: xr.Dataset) -> list[str]:
    """A sentence on the cells of a row that failed, if there are any."""
    known = {str(step) for step in non_finite_steps(data.attrs)}
    # Weights that are not finite are told once, and not of every row.
    failed = [
        (step, reason)
        for step, reason in json.loads(data.attrs.get("failed", "{}")).items()
        if step not in known
    ]
    if not failed:
        return []
    first, reason = failed[0]
    number = f"{len(failed)} checkpoint{'s' if len(failed) > 1 else ''}"
    # What is measured once, for no checkpoint, has a word in the place of a step.
    where = ""
    if first.isdecimal():
        where = f" at {number}, first at step {step_text(int(first))}"
    row = data.attrs.get("id", name)
    return [f"{row} failed{where}: {reason.rstrip('.')}."]
