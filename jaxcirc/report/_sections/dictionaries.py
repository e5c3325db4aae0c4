"""Dictionaries along the run: what their training came to at every checkpoint."""

import numpy as np
import xarray as xr

from ...plots import Curve, CurvePanel, developmental_curves
from .._results import by_seed, last_finite, step_text
from .._section import Block, SectionSpec, View

_COURSES = {
    "loss_course": "loss",
    "l0_course": "L0<br>(latents)",
    "dead_course": "dead<br>(share)",
}
# More curves of one panel are not told apart by their shades.
_MOST_CURVES = 8


def draw(view: View) -> list[Block]:
    """Loss, L0 and what is not explained over checkpoints, and a row for each layer."""
    data = view.data
    text = (
        "At every checkpoint dictionaries are trained anew, beginning with those of "
        "the checkpoint before, so that a latent keeps its number. These are means "
        "over the end of each training, in its own units: activations are normalised."
    )
    panels = [
        by_layer(data["loss"], "loss", log=True),
        by_layer(data["l0"], "L0<br>(latents)"),
        by_layer(data["fvu"], "FVU<br>(share)"),
    ]
    figure = developmental_curves(panels)
    made = Block("Dictionaries", text, figure=figure, table=_table(data))
    # Results of earlier versions have no course of dead latents.
    if not set(_COURSES) <= set(data.data_vars):
        return [made]
    return [made, *(_course(data, layer) for layer in map(int, data["layer"].values))]


def _course(data: xr.Dataset, layer: int) -> Block:
    """Loss, L0 and dead latents over the updates, a curve for each checkpoint."""
    text = (
        "Each training from its first update to its last, means over seeds; later "
        "checkpoints are brighter. They begin where the one before has ended, on other "
        "activations. Where the first latents count as dead, their auxiliary loss "
        "comes in, and the loss jumps by it. A loss that still falls at the end asks "
        "for more updates."
    )
    one = data.sel(layer=layer).mean("seed")
    steps = one["step"].values
    shown = np.unique(np.linspace(0, len(steps) - 1, _MOST_CURVES).astype(int))
    shades = np.linspace(0.15, 1, len(shown))
    updates = one["update"].values

    def curves(name: str) -> list[Curve]:
        values = one[name].transpose("step", "update").values
        return [
            Curve(
                f"step {step_text(int(steps[i]))}",
                updates,
                values[i][None],
                place,
                shade=float(shade),
            )
            for place, (i, shade) in enumerate(zip(shown, shades, strict=True))
        ]

    figure = developmental_curves([
        CurvePanel(title, curves(name), None, name == "loss_course")
        for name, title in _COURSES.items()
    ])  # fmt: skip
    figure.update_xaxes(title_text="update of the dictionary")
    return Block(
        f"Training of the dictionaries of layer {layer}",
        text,
        figure=figure,
        suffix=f"-course-{layer}",
    )


def findings(view: View) -> list[str]:
    """How much of the activations the last dictionaries explain."""
    data = view.data
    told = []
    for layer in data["layer"].values:
        one = data.sel(layer=layer).mean("seed")
        end = last_finite(one["fvu"])
        if end is None:
            continue
        step = step_text(int(data["step"].values[end]))
        told.append(
            f"At step {step} a dictionary of {data.sizes['latent']:,} latents at layer "
            f"{layer} explains {1 - float(one['fvu'][end]):.0%} of the variance with "
            f"{float(one['l0'][end]):.1f} latents on a token."
        )
    return told


def by_layer(array: xr.DataArray, title: str, *, log: bool = False) -> CurvePanel:
    """A panel with a curve for each layer.

    Args:
        array: Numbers with axes `step`, `seed` and `layer`.
        title: Of its axis.
        log: Whether the axis is logarithmic.
    """
    steps, layers = array["step"].values, array["layer"].values
    curves = [
        Curve(f"layer {layer}", steps, by_seed(array.sel(layer=layer)), i)
        for i, layer in enumerate(layers)
    ]
    return CurvePanel(title, curves, None, log)


def _table(data: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """The numbers of every checkpoint and layer, as means over seeds."""
    rows = []
    mean = data[["loss", "l0", "fvu"]].mean("seed")
    for step in data["step"].values:
        for layer in data["layer"].values:
            one = mean.sel(step=step, layer=layer)
            numbers = (number(float(one[name])) for name in ("loss", "l0", "fvu"))
            rows.append((step_text(int(step)), str(layer), *numbers))
    return ["step", "layer", "loss", "L0", "FVU"], rows


def number(value: float) -> str:
    """Three digits, or a dash where there is no number.

    Args:
        value: What is shown.
    """
    return f"{value:.3g}" if np.isfinite(value) else "–"


SECTION = SectionSpec("dictionaries", draw, findings=findings)
