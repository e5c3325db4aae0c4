"""Coefficients of compiled programs, beside what an earlier study gave for them."""

from typing import Any

import numpy as np
import xarray as xr

from ...plots import coefficient_rows
from .._codes import code_word, code_words
from .._estimates import GOOD, estimates, with_error
from .._results import once
from .._section import Block, SectionSpec, View


def draw(view: View) -> list[Block]:
    """One figure and one table of all programs, which may be rows of their own."""
    every = [once(data) for data in view.of_kind("llc_programs") if data.data_vars]
    data = xr.concat(every, "program", combine_attrs="override")
    title = "LLC of compiled programs"
    return [Block(title, sentence(data), figure(data), table=table(data))]


def figure(data: xr.Dataset) -> Any:
    """Coefficients of programs by every sampler."""
    last = once(data)
    names = [_words(program) for program in last["program"].values]
    ways = [
        estimates(_words(sampler), last.sel(sampler=sampler))
        for sampler in last["sampler"].values
    ]
    return coefficient_rows(names, ways, log=True)


def table(data: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """A row for each program: published, repeated, and corrected by each sampler."""
    last = once(data)
    samplers = last["sampler"].values
    header = ["program", "parameters", "right", "published", "repeated here"]
    for name in samplers:
        header += [f"LLC by {_words(name)}", "status"]
    return header, [_row(last.sel(program=p), samplers) for p in last["program"].values]


def sentence(data: xr.Dataset) -> str:
    """A sentence on how the earlier study is repeated, and how many estimates hold."""
    last = once(data)
    off = np.abs(last["repeated"] - last["published"])
    # Both are means over a few repeats, and both may be off.
    allowed = 2 * np.hypot(last["published_spread"], last["repeated_spread"])
    near = int((off <= allowed).sum())
    status = last["status"].transpose("program", "sampler")
    run = (status >= 0).values
    good = (code_words(status) == GOOD) & run
    converged = ", ".join(
        f"{good[:, i].sum()} of {run[:, i].sum()} by {_words(name)}"
        for i, name in enumerate(last["sampler"].values)
    )
    return (
        f"Of {last.sizes['program']} programs the published procedure gives the "
        f"published coefficient, within twice the spread of both, for {near}. Of the "
        f"answers themselves, with chains that are long enough, {converged} are "
        "converged; open marks are not."
    )


def _row(one: xr.Dataset, samplers: np.ndarray) -> tuple:
    """The table's cells for one program."""
    # The published coefficient may be of a program that was meant to do the same.
    other = "" if bool(one["same_function"]) else ", another function"
    cells = [
        _words(one["program"].item()),
        f"{float(one['parameters']):,.0f}",
        f"{100 * float(one['accuracy']):.1f}%",
        _spread(one, "published") + other,
        _spread(one, "repeated"),
    ]
    for name in samplers:
        by = one.sel(sampler=name)
        # Codes below 0 stand for a sampler that the study has not asked for.
        run = float(by["status"]) >= 0
        cells += [with_error(by), code_word(by["status"])] if run else ["–", "not run"]
    return tuple(cells)


def _spread(one: xr.Dataset, name: str) -> str:
    """A coefficient of the published procedure with its spread."""
    value, spread = float(one[name]), float(one[f"{name}_spread"])
    if np.isnan(value):
        return "–"
    return f"{value:.3g} ± {spread:.2g}" if spread else f"{value:.3g}"


def _words(name: object) -> str:
    """A name with blanks for underscores."""
    return str(name).replace("_", " ")


SECTION = SectionSpec("llc_programs", draw, together=True)
