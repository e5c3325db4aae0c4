"""Estimates with error bars, as sections on coefficients write and draw them."""

from typing import Any

import numpy as np
import xarray as xr

from ..plots import Estimates, chain_traces
from ._codes import code_words
from ._results import once

# An estimate with this status needs no mark and no remark.
GOOD = "converged"


def remarks(status: xr.DataArray) -> np.ndarray:
    """Codes as words, and no word for what is as it should be."""
    words = code_words(status)
    return np.where(words == GOOD, "", words)


def estimates(name: str, data: xr.Dataset) -> Estimates:
    """Coefficients with two standard errors.

    Args:
        name: The name in the legend.
        data: Results with `llc`, `standard_error` and `status` over one axis.
    """
    values = data["llc"].values.astype(float)
    notes = [str(note) for note in np.atleast_1d(remarks(data["status"]))]
    return Estimates(name, values, 2 * data["standard_error"].values, notes)


def with_error(one: xr.Dataset) -> str:
    """A coefficient and two standard errors, or a dash where there is none."""
    value, error = float(one["llc"]), 2 * float(one["standard_error"])
    if not np.isfinite(value):
        return "–"
    # A single chain, or one that stands still, has no error bar.
    return f"{value:.4g}" + (f" ± {error:.2g}" if np.isfinite(error) else "")


def trace_figure(data: xr.Dataset) -> Any:
    """The chains of the last step and the first seed."""
    last = once(data)
    trace = last["trace"].transpose("chain", "draw").values
    return chain_traces(trace, float(last["llc"]))
