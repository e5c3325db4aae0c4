"""Samplers on losses whose coefficients are known exactly."""

from typing import Any

import numpy as np
import xarray as xr

from ...plots import conformance_scatter
from .._estimates import with_error
from .._results import once
from .._section import Block, SectionSpec, View


def draw(view: View) -> list[Block]:
    """Found against exact, in a figure and in a table."""
    data = view.data
    return [Block("LLC conformance", sentence(data), figure(data), table=table(data))]


def findings(view: View) -> list[str]:
    """A sentence on how far off each sampler is."""
    return [sentence(view.data)]


def figure(data: xr.Dataset) -> Any:
    """Found against exact coefficients."""
    last = once(data)
    names = [str(s) for s in last["sampler"].values]
    return conformance_scatter(
        last["exact"].isel(sampler=0).values.astype(float),
        {n: last["llc"].sel(sampler=n).values.astype(float) for n in names},
        {n: last["standard_error"].sel(sampler=n).values.astype(float) for n in names},
        [str(c) for c in last["case"].values],
    )


def table(data: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """A row for each case, with what every sampler gave."""
    last = once(data)
    names = [str(s) for s in last["sampler"].values]
    header = ["case", "exact"]
    for name in names:
        header += [name.replace("_", " "), "error"]
    rows = []
    for case in last["case"].values:
        row = last.sel(case=case)
        cells = [str(case), f"{float(row['exact'].isel(sampler=0)):.4g}"]
        for name in names:
            one = row.sel(sampler=name)
            off = float(one["error"])
            cells += [
                with_error(one),
                f"{100 * off:+.1f}%" if np.isfinite(off) else "–",
            ]
        rows.append(tuple(cells))
    return header, rows


def sentence(data: xr.Dataset) -> str:
    """A sentence on how far off each sampler is, in the median and at most."""
    last = once(data)
    told = [_of_sampler(last.sel(sampler=name)) for name in last["sampler"].values]
    return (
        "Losses whose coefficients are known exactly, sampled by the same code: "
        + "; ".join(told)
        + "."
    )


def _of_sampler(one: xr.Dataset) -> str:
    """The part of the sentence on one sampler."""
    name = str(one["sampler"].item()).replace("_", " ")
    errors = np.abs(one["error"].values.astype(float))
    off = errors[np.isfinite(errors)]
    if not len(off):
        return f"{name} gave no coefficient"
    # A case that diverged has no error, and must not hide those of the others.
    of = "" if len(off) == len(errors) else f" of {len(off)} of {len(errors)} cases"
    gradients = float(one["gradients"].median())
    return (
        f"{name} is off by {100 * np.median(off):.1f}% in the median{of} and "
        f"{100 * np.max(off):.1f}% at most, with {gradients:,.0f} gradients per chain"
    )


SECTION = SectionSpec("llc_conformance", draw, findings=findings)
