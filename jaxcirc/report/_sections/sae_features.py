"""Features over training: what persists beside chance, what is born and what dies."""

import numpy as np
import xarray as xr

from ...plots import Curve, CurvePanel, developmental_curves
from .._results import once, step_text
from .._section import Block, SectionSpec, View
from .dictionaries import number

_STEPS = "dictionaries_step"
_COLUMNS = {
    "features": "features",
    "persist": "persist",
    "twin": "in another seed",
    "random": "in random",
    "births": "births",
    "births_shared": "shared births",
    "births_twin": "births, other seed",
    "deaths": "deaths",
    "splits": "splits",
    "drift": "drift",
}


def draw(view: View) -> list[Block]:
    """Persistence beside its nulls, births, deaths and drift, for each layer."""
    text = (
        "Features are latents followed by the directions that they write. Dashed "
        "curves are what chance does: the share of features that a dictionary of "
        "another seed has at the same checkpoint, and that random directions have. "
        "Births stay, and have been away before; those that another seed shares, "
        "dashed too, are less a matter of chance. Drift is 1 - cos for each doubling "
        "of 1 + step."
    )
    data = once(view.data)
    return [
        Block(
            f"Features of layer {layer}",
            text if i == 0 else "",
            figure=developmental_curves(_panels(data.sel(layer=layer))),
            table=_table(data.sel(layer=layer)),
            suffix=f"-{layer}",
        )
        for i, layer in enumerate(data["layer"].values)
    ]


def findings(view: View) -> list[str]:
    """How many features persist, how many a seed shares, and when most are born."""
    told = []
    data = once(view.data)
    for layer in map(int, data["layer"].values):
        one = data.sel(layer=layer).mean("model")
        told += [*_of_persistence(one, layer), *_of_births(one, layer)]
    return told


def _of_persistence(one: xr.Dataset, layer: int) -> list[str]:
    known = np.flatnonzero(np.isfinite(one["persist"].values))
    if not len(known):
        return []
    end = int(known[-1])
    step = step_text(int(one[_STEPS].values[end]))
    twin, random = (float(one[name][end]) for name in ("twin", "random"))
    beside = f", and random directions {random:.0%}" * bool(np.isfinite(random))
    seed = f"; a dictionary of another seed has {twin:.0%}" * bool(np.isfinite(twin))
    return [
        f"At step {step}, {float(one['persist'][end]):.0%} of the features at layer "
        f"{layer} were there at the checkpoint before{seed}{beside}."
    ]


def _of_births(one: xr.Dataset, layer: int) -> list[str]:
    births = np.nan_to_num(one["births"].values)
    if not births.sum():
        return [f"No feature is born at layer {layer} while the run is followed."]
    most = int(births.argmax())
    shared = np.nan_to_num(one["births_shared"].values)
    step = step_text(int(one[_STEPS].values[most]))
    deaths = np.nan_to_num(one["deaths"].values).sum()
    return [
        f"{births.sum():.0f} features are born at layer {layer}, most of them "
        f"({births[most]:.0f}) at step {step}, and {deaths:.0f} die; another seed has "
        f"{shared.sum():.0f} of those that are born."
    ]


def _panels(one: xr.Dataset) -> list[CurvePanel]:
    """Three panels of one layer."""
    steps = one[_STEPS].values
    values = lambda name: one[name].transpose("model", _STEPS).values
    curve = lambda name, text, colour, **more: Curve(
        text, steps, values(name), colour, **more
    )
    return [
        CurvePanel(
            "features found<br>(share)",
            [
                curve("persist", "at the checkpoint before", 2),
                curve("twin", "in another seed", 5, dashed=True),
                curve("random", "in random directions", 6, dashed=True),
            ],
        ),
        CurvePanel(
            "births, deaths<br>(features)",
            [
                curve("births", "births", 0),
                curve("births_shared", "births that a seed shares", 0, dashed=True),
                curve("deaths", "deaths", 1),
            ],
        ),
        CurvePanel("drift<br>(per doubling)", [curve("drift", "drift", 4)]),
    ]


def _table(one: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """Every checkpoint, as means over models."""
    mean = one[list(_COLUMNS)].mean("model")
    rows = [
        (
            step_text(int(step)),
            *(number(float(mean[name].sel({_STEPS: step}))) for name in _COLUMNS),
        )
        for step in one[_STEPS].values
    ]
    return ["step", *_COLUMNS.values()], rows


SECTION = SectionSpec("sae_features", draw, findings=findings)
