"""What became of the run: whether it is whole, and what it is made of."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from ._results import join_words, step_text

# Rows that are named one by one before the rest is counted.
MOST_NAMED = 4


class State(NamedTuple):
    """How far a run has come.

    Args:
        good: Whether training and all measurements came to their end.
        text: The sentence at the top of the page.
    """

    good: bool
    text: str


def run_state(tree: xr.DataTree) -> State:
    """Whether the run is complete, in a sentence with its numbers."""
    status = _status(tree)
    gaps = [*_failed(status["failed"]), *_missing(status["missing"])]
    more = f" {' '.join(gaps)}" if gaps else ""
    good = status["state"] == "complete" and not gaps
    return State(good, _progress(status) + more)


def state_sentences(tree: xr.DataTree) -> list[str]:
    """Sentences to read before any number; none if the run is whole."""
    state = run_state(tree)
    return [
        *([] if state.good else [state.text]),
        *_not_finite(tree),
        *mixed_sentences(tree),
    ]


def mixed_sentences(tree: xr.DataTree) -> list[str]:
    """Sentences on rows that hold results of several versions or machines."""
    rows_by_mix: dict[str, list[str]] = {}
    for row, packages in json.loads(tree.attrs.get("mixed", "{}")).items():
        told = [
            f"{package} {join_words([f'{v} ({_cells(n)})' for v, n in counts.items()])}"
            for package, counts in packages.items()
        ]
        rows_by_mix.setdefault("; ".join(told), []).append(row)
    return [
        f"Not all cells of {_some(rows)} were computed alike: {mix}. Delete the older "
        "ones and run the study again to measure them alike."
        for mix, rows in rows_by_mix.items()
    ]


def non_finite_steps(attrs: Mapping[Any, Any]) -> list[int]:
    """Steps whose checkpoint has weights that are not finite."""
    return sorted(int(step) for step in json.loads(attrs.get("non_finite", "[]")))


def trained_steps(tree: xr.DataTree) -> tuple[int, int]:
    """Updates that were made, and updates that were planned."""
    status = _status(tree)
    if status["diverged"]:
        return min(map(int, status["diverged"].values())), status["planned_steps"]
    return status["training_steps"], status["planned_steps"]


def _status(tree: xr.DataTree) -> dict[str, Any]:
    """The recorded status, or what the results of an older run say of it."""
    recorded = json.loads(tree.attrs.get("status", "{}"))
    training = json.loads(tree.attrs.get("identity", "{}")).get("training") or {}
    planned = int(training.get("steps", 0))
    done = _updates(tree) if planned else 0
    failed = {
        str(name): len(json.loads(node.attrs.get("failed", "{}")))
        for name, node in tree.children.items()
    }
    derived = {
        "state": "complete" if done >= planned else "stopped",
        "training_steps": done,
        "planned_steps": planned,
        "diverged": {},
        "failed": {name: number for name, number in failed.items() if number},
        "missing": {},
    }
    return derived | recorded


def _updates(tree: xr.DataTree) -> int:
    """Updates of which the loss of every seed is known."""
    if "training" not in tree.children:
        return 0
    loss = tree["training"]["loss"].transpose("seed", "step").values
    return int(np.isfinite(loss).all(axis=0).sum())


def _progress(status: Mapping[str, Any]) -> str:
    """A sentence on how far training came and what it means for the page."""
    done, planned = status["training_steps"], status["planned_steps"]
    of = f"step {step_text(done)} of {step_text(planned)}"
    before = "What follows is of the checkpoints before."
    if status["state"] == "diverged":
        where = [
            f"of seed {seed} at step {step_text(int(step))}"
            for seed, step in status["diverged"].items()
        ]
        which = join_words(where) or f"after {of}"
        return f"Training diverged: the loss {which} was not finite. {before}"
    if status["state"] == "running":
        return f"Still running, at {of}." if done < planned else "Still running."
    if done < planned:
        return f"Training stopped at {of}. {before} Run the study again to go on."
    if status["state"] == "stopped":
        return "Stopped before all was measured. Run the study again to go on."
    return (
        f"Complete: {step_text(planned)} steps of training." if planned else "Complete."
    )


def _failed(rows: Mapping[str, int]) -> list[str]:
    """A sentence on rows without a result, if there are any."""
    if not rows:
        return []
    told = [f"{row} at {_checkpoints(number)}" for row, number in rows.items()]
    return [f"Without a result: {_some(told)}."]


def _missing(rows: Mapping[str, int]) -> list[str]:
    """A sentence on rows that are not measured, if there are any."""
    if not rows:
        return []
    told = [f"{row} at {_checkpoints(number)}" for row, number in rows.items()]
    return [f"Not measured: {_some(told)}."]


def _not_finite(tree: xr.DataTree) -> list[str]:
    """A sentence on checkpoints with weights that are not finite, if there are any."""
    steps = {s for node in tree.children.values() for s in non_finite_steps(node.attrs)}
    if not steps:
        return []
    some = _some([step_text(step) for step in sorted(steps)])
    which = "checkpoint of step" if len(steps) == 1 else "checkpoints of steps"
    return [
        f"Weights of the {which} {some} are not finite, so numbers that are measured "
        "there mean nothing."
    ]


def _some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    rest = len(names) - MOST_NAMED
    return join_words(names if rest <= 0 else [*names[:MOST_NAMED], f"{rest} more"])


def _cells(number: int) -> str:
    """A number of cells in words."""
    return "1 cell" if number == 1 else f"{number:,} cells"


def _checkpoints(number: int) -> str:
    """A number of checkpoints in words."""
    return "1 checkpoint" if number == 1 else f"{number:,} checkpoints"
