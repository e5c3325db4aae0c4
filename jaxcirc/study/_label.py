"""Outcomes as labelled cells: what was measured, with axes, units and origin."""

import json
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr

from .._core import fold_name, seed_key
from ._config import Measurement, Prepared
from ._measurements import Failure, Once, Outcome
from ._provenance import provenance
from ._store import config_hash


class Labeller:
    """Makes the cells of one row.

    Args:
        row: The row.
        prepared: The study.
        key: The row's own key, which some labels depend on.
        used_steps: Name of an input -> its steps, where it is of several; they label
            the axis `NAME_step`.
    """

    def __init__(
        self,
        row: Measurement,
        prepared: Prepared,
        key: jax.Array,
        used_steps: Mapping[str, Sequence[int]],
    ):
        self._about = {
            "measurement": row.name,
            "id": row.id,
            "config_hash": config_hash(prepared.identity()),
            "versions": json.dumps(provenance()["versions"]),
        }
        if row.said:
            self._about["task"] = str(row.said["name"])
        self._coords: dict[str, Any] = {
            **row.measure.coords(prepared.model, prepared.task_of(row), key=key),
            **{f"{name}_step": list(steps) for name, steps in used_steps.items()},
        }
        self._of_used = _labels_of_used(row, prepared)
        self._lead: dict[str, list[int]] = {}
        if not isinstance(row.measure, Once):
            # Seeds by their own numbers, which need not begin at 0.
            first = prepared.source.seed
            self._lead["seed"] = list(range(first, first + prepared.source.seeds))

    def of(self, outcome: Outcome) -> xr.Dataset:
        """The cell of an outcome, whose arrays begin with seeds if the row has any."""
        coords, variables = self._lead | self._coords, {}
        for name, quantity in outcome.quantities.items():
            dims = (*self._lead, *quantity.dims)
            variables[name] = (dims, quantity.values, quantity.attributes())
            for dim, size in zip(dims, quantity.values.shape, strict=True):
                # A measurement's own labels go before numbers.
                coords.setdefault(dim, self._of_used.get(dim, np.arange(size)))
        attrs = dict(self._about)
        if reason := _reason_of(outcome.failure):
            attrs["failed"] = reason
        return xr.Dataset(variables, coords, attrs)

    def failed(self, error: Exception) -> xr.Dataset:
        """The cell that says why there is no outcome."""
        about = self._about | {"failed": _told(error)}
        if not isinstance(error, ValueError):
            # An error that is no refusal does not explain itself without its place.
            about["traceback"] = "".join(traceback.format_exception(error))
        return xr.Dataset(attrs=about)


def _labels_of_used(row: Measurement, prepared: Prepared) -> dict[str, Any]:
    """Labels of the axes of other rows, which are those of an axis made of theirs."""
    used = {use.of for use in row.uses.values()}
    labels: dict[str, Any] = {}
    for other in prepared.measurements:
        if other.id in used:
            key = fold_name(seed_key(prepared.source.seed), f"measure/{other.id}")
            task = prepared.task_of(other)
            labels |= other.measure.coords(prepared.model, task, key=key)
    return labels


def _reason_of(failure: Failure | None) -> str | None:
    """The sentence of a failure, or None if nothing is wrong."""
    if failure is None:
        return None
    count = int(np.sum(np.asarray(failure.count)))
    return failure.reason.format(count=count) if count else None


def _told(error: Exception) -> str:
    """An error in words: a refusal as it is, anything else with its kind."""
    refused = isinstance(error, ValueError | jax.errors.JaxRuntimeError)
    return str(error) if refused else f"{type(error).__name__}: {error}"
