"""How good dictionaries are over training, with the raw losses beside the scores."""

import numpy as np
import xarray as xr

from ...plots import CurvePanel, developmental_curves
from .._results import last_finite, step_text
from .._section import Block, SectionSpec, View
from .dictionaries import by_layer, number

_COLUMNS = {
    "l0": "L0",
    "fvu": "FVU",
    "ce_recovered": "CE recovered",
    "kl_recovered": "KL recovered",
    "ce_clean": "CE (nats)",
    "ce": "with dictionary",
    "ce_zero": "with zeros",
    "ce_mean": "with mean",
    "dead": "dead",
    "dense": "dense",
    "n_tokens": "tokens",
}


def overview(view: View) -> list[CurvePanel]:
    """The share of the loss that dictionaries recover."""
    return [by_layer(view.data["ce_recovered"], "CE recovered<br>(share)")]


def draw(view: View) -> list[Block]:
    """Quality by layer over checkpoints, and all numbers in a table."""
    data = view.data
    text = (
        "Test examples with reconstructions in place of the activations. A recovered "
        "share of 1 means that nothing is lost, and 0 as much as with zeros; the raw "
        "losses are in the table, since a high share can still be a large loss. Dead "
        "latents fire on none of the tokens, dense ones on more than a tenth."
    )
    panels = [
        by_layer(data["ce_recovered"], "CE recovered<br>(share)"),
        by_layer(data["kl_recovered"], "KL recovered<br>(share)"),
        by_layer(data["fvu"], "FVU<br>(share)"),
        by_layer(data["dead"], "dead<br>(share)"),
        by_layer(data["dense"], "dense<br>(share)"),
    ]
    figure = developmental_curves(panels)
    return [Block("Quality of dictionaries", text, figure=figure, table=_table(data))]


def findings(view: View) -> list[str]:
    """What the model loses by the last dictionaries."""
    told = []
    for layer in view.data["layer"].values:
        one = view.data.sel(layer=layer).mean("seed")
        end = last_finite(one["ce_recovered"])
        if end is None:
            continue
        last = {name: float(one[name][end]) for name in _COLUMNS}
        if not np.isfinite(list(last.values())).all():
            continue
        step = step_text(int(one["step"].values[end]))
        told.append(
            f"At step {step} the dictionary at layer {layer} recovers "
            f"{last['ce_recovered']:.1%} of the loss: {last['ce']:.3f} nats in place "
            f"of {last['ce_clean']:.3f}, and {last['ce_zero']:.3f} with zeros. "
            f"{last['dead']:.0%} of its latents fire on none of "
            f"{last['n_tokens']:,.0f} tokens."
        )
    return told


def _table(data: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """Every checkpoint and layer, as means over seeds."""
    mean = data[list(_COLUMNS)].mean("seed")
    rows = []
    for step in data["step"].values:
        for layer in data["layer"].values:
            one = mean.sel(step=step, layer=layer)
            numbers = (number(float(one[name])) for name in _COLUMNS)
            rows.append((step_text(int(step)), str(layer), *numbers))
    return ["step", "layer", *_COLUMNS.values()], rows


SECTION = SectionSpec("sae_quality", draw, overview, findings)
