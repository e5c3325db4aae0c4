"""How far a run has come, in what it has recorded."""

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from ._store._join import ONCE

State = Literal["running", "complete", "stopped", "diverged"]


def status(
    run: Mapping[str, Any], nodes: Mapping[str, xr.Dataset], *, locked: bool
) -> dict[str, Any]:
    """The state of a run and what it lacks.

    Args:
        run: The contents of `run.json`.
        nodes: Results by measurement, as `Study.open` joins them.
        locked: Whether a process is writing to the run at this moment.

    Returns:
        `state`: `running`, `complete`, `stopped` or `diverged`. Complete means that
        training has come to its end and every cell was tried; some may have failed.
        `training_steps` of `planned_steps` updates are done. `diverged` is seed -> the
        update whose loss was not finite. `failed` is row -> steps without a result, and
        `missing` row -> steps that were not tried; rows without any are left out.
    """
    training = run["identity"].get("training") or {}
    there = {row: _steps(node) for row, node in nodes.items()}
    failed = {row: len(_failed(node)) for row, node in nodes.items()}
    missing = {
        row: len(set(steps) - there.get(row, set()))
        for row, steps in run.get("rows", {}).items()
    }
    # Runs of older versions recorded no state.
    state = run.get("state", "complete")
    # A killed process has not recorded its end, but no longer holds the lock.
    if state == "running" and not locked:
        state = "stopped"
    return {
        "state": state,
        "training_steps": _trained(nodes),
        "planned_steps": training.get("steps", 0),
        "diverged": run.get("diverged", {}) if state == "diverged" else {},
        "failed": {row: n for row, n in failed.items() if n},
        "missing": {row: n for row, n in missing.items() if n},
    }


def _steps(node: xr.Dataset) -> set[int | None]:
    """Places at which a row was measured or failed."""
    measured = node["step"].values.tolist() if "step" in node.coords else []
    if node.data_vars and "step" not in node.dims:
        measured = [None]  # it runs once
    return {*measured, *_failed(node)}


def _failed(node: xr.Dataset) -> set[int | None]:
    """Places at which a row failed."""
    failed = json.loads(node.attrs.get("failed", "{}"))
    return {None if step == ONCE else int(step) for step in failed}


def _trained(nodes: Mapping[str, xr.Dataset]) -> int:
    """Updates of which every seed's loss is known."""
    if "training" not in nodes:
        return 0
    loss = nodes["training"]["loss"].transpose("seed", "step").values
    return int(np.isfinite(loss).all(axis=0).sum())
