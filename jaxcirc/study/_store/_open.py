"""A run as one tree of results."""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..._core import is_locked
from ...checkpoints import CheckpointError
from ...training import read_losses
from .._status import status
from ._folder import Folder
from ._join import DamagedCell, join
from ._names import CELLS, TRAINING, Place
from ._record import read_run, read_study
from ._row import RowFolder


def open_run(folder: Folder) -> xr.DataTree:
    """All results of a run; see `Study.open`."""
    run = read_run(folder)
    nodes = {}
    if training := run["identity"].get("training"):
        nodes["training"] = _losses(folder.join(TRAINING), training)
    study = run.get("study") or read_study(folder)
    for row in _rows(folder, study.get("measure", [])):
        cells = _current_cells(folder, row, run)
        if cells is not None:
            nodes[row] = cells
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = _about(folder, run, study, nodes)
    return tree


def _about(
    folder: Folder, run: Mapping, study: Mapping, nodes: Mapping[str, xr.Dataset]
) -> dict[str, str]:
    """Where the numbers come from, in JSON."""
    mixed = {k: n.attrs["mixed"] for k, n in nodes.items() if "mixed" in n.attrs}
    about = {
        "study": study,
        "provenance": run["provenance"],
        "identity": run["identity"],
        "timing": run.get("timing", {}),
        "task": run.get("task", {}),
        "status": status(run, nodes, locked=is_locked(folder.path)),
        "sittings": run.get("sittings", []),
        "mixed": {name: json.loads(text) for name, text in mixed.items()},
    }
    return {name: json.dumps(value) for name, value in about.items()}


def _rows(folder: Folder, asked: Sequence[Mapping]) -> list[str]:
    """Rows with cells: in the study's order, then those that it has dropped since."""
    there = set(folder.names(CELLS))
    named = [row.get("id") or row["name"] for row in asked]
    return [*(n for n in named if n in there), *sorted(there.difference(named))]


def _current_cells(folder: Folder, row: str, run: Mapping) -> xr.Dataset | None:
    """The cells to show as one, those without a number by their reason."""
    cells = RowFolder(folder, row)
    taken = cells.steps
    steps = taken | cells.failed_steps
    if row in run.get("rows", {}):
        steps &= set(run["rows"][row])
    if "steps" in run:
        steps &= {*run["steps"], None}
    known = run.get("checkpoints", {})

    def is_current(step: Place, basis: str | None) -> bool:
        now = known.get(str(step), {}).get("fingerprint")
        measured = json.loads(basis or "{}").get("checkpoint", now)
        return now is None or measured == now

    # What runs once has no step, and no other cell.
    ordered = [None] if None in steps else sorted(s for s in steps if s is not None)
    names = {step: cells.file(step, failed=step not in taken) for step in ordered}
    files = {s: functools.partial(folder.read, name) for s, name in names.items()}
    try:
        return join(files, keep=is_current)
    except DamagedCell as error:
        with cells.blaming(names[error.step]):
            raise
    except ValueError as error:
        raise CheckpointError(
            f"cells in {folder.join(f'{CELLS}/{row}')} do not fit together: "
            f"{error}. Delete them and run the study again."
        ) from error


def _losses(folder: str, training: Mapping[str, Any]) -> xr.Dataset:
    seeds = list(range(training["seed"], training["seed"] + training["seeds"]))
    losses = read_losses(folder, seeds=len(seeds), steps=training["steps"])
    coords = {"seed": seeds, "step": np.arange(losses.shape[1])}
    about = {"units": "nats", "long_name": "training loss before each update"}
    loss = xr.DataArray(losses, coords, ("seed", "step"), attrs=about)
    return xr.Dataset({"loss": loss}, attrs={"measurement": "training"})
