"""Dictionaries beside planted features: what models have of them, and what is found."""

import numpy as np
import xarray as xr

from ...plots import Curve, CurvePanel, developmental_curves
from .._results import by_seed, last_finite, step_text
from .._section import Block, SectionSpec, View
from .dictionaries import number

_COLUMNS = {
    "mcc": "MCC",
    "random": "random directions",
    "found": "found",
    "represented": "represented",
}


def overview(view: View) -> list[CurvePanel]:
    """MCCs, beside those of random directions."""
    return [_mcc(view.data)]


def draw(view: View) -> list[Block]:
    """MCCs, features that are represented and found, and all numbers in a table."""
    data = view.data
    text = (
        "The task says which features each example has, and the model chooses their "
        "directions, which are regressed from its activations at every checkpoint. The "
        "MCC is the mean absolute cosine between them and the best matching latents; "
        "what random directions have, dashed, is no finding. A feature is represented "
        "where the model names it on most occasions, and found where its latent has an "
        "absolute cosine of 0.9, or what the study says."
    )
    panels = [_mcc(data), _features(data)]
    figure = developmental_curves(panels)
    return [Block("Planted features", text, figure=figure, table=_table(data))]


def findings(view: View) -> list[str]:
    """How many features the last model represents, and how many are found."""
    told = []
    for layer in view.data["layer"].values:
        one = view.data.sel(layer=layer).mean("seed")
        end = last_finite(one["mcc"])
        if end is None:
            continue
        last = {name: float(one[name][end]) for name in _COLUMNS}
        if not np.isfinite(list(last.values())).all():
            continue
        step = step_text(int(one["step"].values[end]))
        told.append(
            f"At step {step} the model represents {last['represented']:.0f} of the "
            f"planted features, and a dictionary at layer {layer} finds "
            f"{last['found']:.0f}: its MCC is {last['mcc']:.2f}, and that of random "
            f"directions {last['random']:.2f}."
        )
    return told


def _mcc(data: xr.Dataset) -> CurvePanel:
    curves = []
    for i, layer in enumerate(data["layer"].values):
        one, steps = data.sel(layer=layer), data["step"].values
        mine, chance = by_seed(one["mcc"]), by_seed(one["random"])
        curves.append(Curve(f"layer {layer}", steps, mine, i))
        curves.append(
            Curve(f"layer {layer}, random directions", steps, chance, i, dashed=True)
        )
    return CurvePanel("MCC", curves)


def _features(data: xr.Dataset) -> CurvePanel:
    steps, layers = data["step"].values, data["layer"].values
    # Behind the colours of the layers, so that the legend has one meaning for each.
    represented = Curve(
        "represented by the model",
        steps,
        by_seed(data["represented"]),
        len(layers),
        dashed=True,
    )
    found = [
        Curve(f"layer {layer}", steps, by_seed(data["found"].sel(layer=layer)), i)
        for i, layer in enumerate(layers)
    ]
    return CurvePanel("features<br>(number)", [*found, represented])


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


SECTION = SectionSpec("sae_truth", draw, overview, findings)
