"""The known solution with each of its parts silenced."""

from typing import Any

import xarray as xr

from ...plots import coefficient_rows
from .._codes import code_word
from .._estimates import estimates, with_error
from .._results import once
from .._section import Block, SectionSpec, View

_TEXT = (
    "The known solution with each head, MLP and layer silenced. The coefficient is "
    "that of the function which is left: its loss is the divergence from what the "
    "model says at w* itself. Open marks are not converged."
)


def draw(view: View) -> list[Block]:
    """A row for each part, in a figure and in a table."""
    return [Block("Ablations", _TEXT, figure(view.data), table=table(view.data))]


def figure(data: xr.Dataset) -> Any:
    """The coefficient of what is left without each part."""
    last = once(data)
    parts = [
        # The measurement calls what is silenced; a reader asks what is left.
        "intact" if part == "nothing" else f"without {part}"
        for part in last["ablation"].values
    ]
    return coefficient_rows(parts, [estimates("LLC", last)])


def table(data: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """A row for each part: right answers, loss, coefficient and its status."""
    last = once(data)
    header = ["silenced", "right answers", "loss (nats)", "LLC", "status"]
    rows = []
    for part in last["ablation"].values:
        one = last.sel(ablation=part)
        answers = f"{100 * float(one['rank_0_rate']):.1f}%"
        loss, word = f"{float(one['loss']):.3g}", code_word(one["status"])
        rows.append((str(part), answers, loss, with_error(one), word))
    return header, rows


SECTION = SectionSpec("llc_ablations", draw)
