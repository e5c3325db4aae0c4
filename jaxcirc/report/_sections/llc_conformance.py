"""Samplers on losses whose coefficients are known exactly."""

from typing import Any

import numpy as np
import xarray as xr

from ...plots import conformance_scatter
from .._results import once
from .._section import Block, SectionSpec, View


def draw(view: View) -> list[Block]:
    """Found against exact, in a figure and in a table."""
    data = view.data
    return [Block("LLC conformance", sentence(data), figure(data), table=table(data))]


def findings(view: View) -> list[str]:
    """How far off each sampler is."""
    return [sentence(view.data)]


def figure(data: xr.Dataset) -> Any:
    """Found against exact."""
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
            value, error = float(one["llc"]), 2 * float(one["standard_error"])
            cells += [
                f"{value:.4g} ± {error:.2g}",
                f"{100 * float(one['error']):+.1f}%",
            ]
        rows.append(tuple(cells))
    return header, rows


def sentence(data: xr.Dataset) -> str:
    """How far off each sampler is, in the median and at most."""
    last = once(data)
    parts = []
    for name in last["sampler"].values:
        one = last.sel(sampler=name)
        off = np.abs(one["error"].values.astype(float))
        gradients = float(one["gradients"].median())
        parts.append(
            f"{str(name).replace('_', ' ')} is off by {100 * np.median(off):.1f}% in "
            f"the median and {100 * np.max(off):.1f}% at most, with {gradients:,.0f} "
            "gradients per chain"
        )
    return (
        "Losses whose coefficients are known exactly, sampled by the same code: "
        + "; ".join(parts)
        + "."
    )


SECTION = SectionSpec("llc_conformance", draw, findings=findings)
