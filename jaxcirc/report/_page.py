"""The page: everything in one HTML file that needs no network."""

import json
import re
from collections.abc import Sequence
from typing import Any

import jinja2
import xarray as xr
import yaml

from ..plots import plotly_script
from ._budget import Part
from ._csv import to_csv
from ._findings import findings
from ._nodes import measured, nodes_of
from ._parts import parts
from ._provenance import origin_rows, sitting_table
from ._results import join_words, step_text
from ._series import LONG_HEADER, Listing, listing, long_rows, numbers_table
from ._state import mixed_sentences, run_state, trained_steps
from ._templates import asset, script, template

# Anchors of the page's own parts, which no measurement may take.
_OWN_ANCHORS = ("findings", "table", "provenance", "table-csv", "long-csv")
# What could end a script element, or begin a comment in it; JSON has other words.
_IN_SCRIPT = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
# Quantities that are left out are named one by one, up to so many.
_MOST_NAMED = 4


def render(tree: xr.DataTree) -> str:
    """A study's results as one self-contained HTML page.

    Each row of the study is shown by its section: a file in `report/_sections`, or a
    drawing by the axes of its arrays. A part that cannot be drawn is replaced by the
    reason, and warned of. Figures, sliders and CSV together stay below 16 MB whatever
    has been measured; what is thinned or left out for that is said in its place.

    Args:
        tree: What `jaxcirc.study.Study.open` returns. Arrays are read when they are
            drawn or listed.

    Returns:
        The page. It loads nothing from anywhere and prints on paper.

    Raises:
        ValueError: the tree does not say which study it is of.
    """
    about = _attributes(tree)
    drawn = _anchored(parts(tree))
    table, listed = numbers_table(tree), listing(tree)
    return template("page.html").render(
        study=about["study"],
        state=run_state(tree),
        warnings=mixed_sentences(tree),
        facts=_facts(tree, about),
        findings=findings(tree),
        parts=drawn,
        in_script=_inline,
        table=table._replace(text=table.text + _left_out(listed)),
        table_csv=_inline(json.dumps(to_csv(table.header, table.rows))),
        long_csv=_inline(json.dumps(to_csv(LONG_HEADER, long_rows(listed)))),
        config=yaml.safe_dump(about["study"], sort_keys=False, allow_unicode=True),
        origin=origin_rows(tree),
        sittings=sitting_table(tree),
        model=about["identity"].get("model", {}),
        plotly=plotly_script(),
        scripts=[asset("page.js"), *_scripts(drawn)],
        style=asset("page.css"),
    )


def _attributes(tree: xr.DataTree) -> dict[str, Any]:
    """The records of the tree that the page is about.

    Raises:
        ValueError: the tree does not say which study it is of.
    """
    for name in ("study", "identity"):
        if name not in tree.attrs:
            raise ValueError(
                f"render: the tree has no attribute {name!r}; give what "
                "`jaxcirc.study.Study(FOLDER).open()` returns."
            )
    return {name: json.loads(tree.attrs[name]) for name in ("study", "identity")} | {
        "task": json.loads(tree.attrs.get("task", "{}"))
    }


def _anchored(drawn: Sequence[Part]) -> list[Part]:
    """Parts with ids that are plain words and differ from each other."""
    taken: set[str] = set(_OWN_ANCHORS)
    made = []
    for part in drawn:
        word = re.sub(r"[^A-Za-z0-9_-]+", "-", part.id).strip("-") or "section"
        free = (word if i == 1 else f"{word}-{i}" for i in range(1, len(drawn) + 9))
        anchor = next(name for name in free if name not in taken)
        taken.add(anchor)
        made.append(part._replace(id=anchor))
    return made


def _scripts(drawn: Sequence[Part]) -> list[str]:
    """The scripts of all explorers on the page, each once."""
    files = [part.source for part in drawn if part.explorer and part.source]
    return [script(file) for file in dict.fromkeys(files)]


def _left_out(listed: Listing) -> str:
    """A sentence on what the CSV lacks, with a blank before it."""
    names = listed.left_out
    if not names:
        return ""
    more = len(names) - _MOST_NAMED
    some = names if more <= 0 else [*names[:_MOST_NAMED], f"{more} more"]
    return (
        f" The CSV of every number is without {join_words(some)}, which would make "
        "the page too heavy; the run's folder has all."
    )


def _facts(tree: xr.DataTree, about: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs of a name and a value for the head of the page."""
    identity, model = about["identity"], about["identity"].get("model", {})
    nodes = measured(nodes_of(tree)).values()
    steps = max((node.data.sizes.get("step", 0) for node in nodes), default=0)
    task = list(about["task"].items())
    checkpoints = ("checkpoints", f"{steps:,} measured")
    shape = (model.get("n_layers", "?"), model.get("d_model", "?"))
    size = "{} layers of {}".format(*shape)
    if "training" not in identity:
        return [*_origin_of(identity), ("model", size), *task, checkpoints]
    training = identity["training"]
    batch = training["batch_size"]
    examples = "the whole train split" if batch is None else f"{batch:,} examples"
    family = about["study"].get("model", {}).get("family")
    start = identity.get("start")
    done, planned = trained_steps(tree)
    of = step_text(planned) if done >= planned else f"{step_text(done)} of {planned:,}"
    return [
        ("model", str(family).replace("_", " ") if family else size),
        *([("start", start["name"])] if start else []),
        *task,
        ("training", f"{of} steps on {examples}"),
        ("optimiser", f"{training['optimizer']}, rate {training['learning_rate']:g}"),
        checkpoints,
        ("seeds", f"{training['seeds']}, from {training['seed']}"),
    ]


def _origin_of(identity: dict[str, Any]) -> list[tuple[str, str]]:
    """A pair that says which checkpoints are measured, where the study trains none."""
    if "run" in identity:
        return [("run", str(identity["run"]["folder"]))]
    source = identity["trajectory"]["source"]
    names = [source] if isinstance(source, str) else source
    return [("trajectory", ", ".join(names))]


def _inline(text: str) -> jinja2.utils.markupsafe.Markup:  # pyright: ignore
    """JSON that is safe inside a script element, and says the same."""
    return jinja2.utils.markupsafe.Markup(text.translate(_IN_SCRIPT))  # pyright: ignore
