"""The Taylor series: errors by order over training, and how far it reaches."""

import numpy as np
import xarray as xr

from ...plots import Curve, CurvePanel, developmental_curves
from .._codes import code_word, code_words
from .._results import by_seed, step_text
from .._section import Block, SectionSpec, View

# Where a series may be believed, and where there is nothing to believe.
_FINE = ("inside", "polynomial", "unmoved")


def draw(view: View) -> list[Block]:
    """Errors of all orders, dashed where the series does not reach, and the radius."""
    data = view.data
    steps, fine = data["step"].values, _reached(data)
    errors = data["relative_error"].transpose("seed", "order", "step").values
    orders = [str(order) for order in data["order"].values]
    curves = []
    for i, order in enumerate(orders):
        if order == "0":
            continue  # it is 1 everywhere, and drawn as the level of no change
        one = {"steps": steps, "colour": i - 1}
        inside = np.where(fine, errors[:, i], np.nan)
        curves.append(Curve(f"order {order}", values=inside, **one))
        beyond = np.where(_with_neighbours(~fine), errors[:, i], np.nan)
        curves.append(Curve(f"order {order}", values=beyond, dashed=True, **one))
    level = Curve("", steps, np.ones((1, len(steps))), 6, faint=True, dashed=True)
    radius = Curve("radius", steps, by_seed(data["radius"]), 6)
    panels = [
        CurvePanel("error of each order<br>(1: no change)", [level, *curves], log=True),
        CurvePanel("radius<br>(1: the checkpoint)", [level, radius], log=True),
    ]
    text = (
        "The error of each order of the Taylor series, relative to the whole change of "
        "the logits: below the grey level an order says more than that nothing has "
        "changed. Lines are dashed where the checkpoint lies beyond the radius within "
        "which the series converges: there an order is no approximation, and higher "
        "orders lead away."
    )
    return [Block("Taylor series", text, developmental_curves(panels))]


def findings(view: View) -> list[str]:
    """How far the series reaches at the end, and which order is best there."""
    data = view.data
    fine = np.all(_reached(data), axis=0, keepdims=True)[0]
    errors = data["relative_error"].mean("seed").transpose("step", "order").values
    moved = np.flatnonzero(np.isfinite(errors[:, 0]))
    if not len(moved):
        return ["Nothing has moved from the reference of the Taylor series."]
    steps, end = data["step"].values, int(moved[-1])
    word = code_word(data["status"].isel(step=end, seed=0))
    told = _of_errors(errors[end], int(steps[end]))
    if fine[moved].all():
        return [f"The Taylor series reaches all checkpoints (it is {word}). {told}"]
    radius = data["radius"].mean("seed").values[end]
    far = f", whose radius there is {radius:.2g} of the way" * bool(np.isfinite(radius))
    inside = moved[fine[moved]]
    until = "it reaches no checkpoint after that of the reference"
    if len(inside):
        until = f"the last that it reaches is step {step_text(int(steps[inside[-1]]))}"
    return [
        f"The Taylor series does not reach step {step_text(int(steps[end]))} (it is "
        f"{word}){far}; {until}. {told}"
    ]


def _of_errors(errors: np.ndarray, step: int) -> str:
    """A sentence on the best order at a step."""
    known = np.where(np.isfinite(errors), errors, np.inf)
    best = int(known.argmin())
    if best == 0:
        return (
            f"At step {step_text(step)} no order is better than order 0, which says "
            f"that nothing has changed; order {len(errors) - 1} errs by "
            f"{errors[-1]:.3g} times the change."
        )
    return (
        f"At step {step_text(step)} order {best} is best, with an error of "
        f"{errors[best]:.3g} of the change."
    )


def _reached(data: xr.Dataset) -> np.ndarray:
    """Where the series may be believed, [seed, step]."""
    status = data["status"].transpose("seed", "step")
    return np.isin(code_words(status).astype(str), _FINE)


def _with_neighbours(mask: np.ndarray) -> np.ndarray:
    """The places of a mask and those beside them, so that two lines meet."""
    wide = mask.copy()
    wide[:, :-1] |= mask[:, 1:]
    wide[:, 1:] |= mask[:, :-1]
    return wide


SECTION = SectionSpec("taylor", draw, findings=findings)
