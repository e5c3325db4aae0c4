"""Does the coefficient hold still over step sizes and temperatures?"""

from typing import Any

import xarray as xr

from ...plots import calibration_grid
from .._codes import code_words
from .._results import once, step_text
from .._section import Block, SectionSpec, View


def draw(view: View) -> list[Block]:
    """The grid at the last checkpoint, with its plateau outlined."""
    text = sentence(view.data)
    if "step" in view.data.dims:
        text = f"At step {step_text(int(view.data['step'].values[-1]))}. {text}"
    return [Block("LLC calibration grid", text, figure(view.data))]


def findings(view: View) -> list[str]:
    """A sentence on whether there is a plateau, and on the slope with temperature."""
    return [sentence(view.data)]


def figure(data: xr.Dataset) -> Any:
    """Estimates over step sizes and temperatures."""
    # A file may have its axes in any order, and a heat map goes by place.
    last = once(data).transpose("step_size", "n_beta", ...)
    return calibration_grid(
        last["llc"].values.astype(float),
        [str(x) for x in last["step_size"].values],
        [str(x) for x in last["n_beta"].values],
        statuses=code_words(last["status"]).tolist(),
        inside=last["inside"].values.astype(bool),
    )


def sentence(data: xr.Dataset) -> str:
    """A sentence on the plateau, or on there being none."""
    last = once(data)
    inside = last["inside"].values.astype(bool)
    slope = float(last["beta_slope"])
    if inside.any():
        value = float(last["llc"].values[inside].mean())
        return (
            f"The estimate holds still, near {value:.3g}, over {inside.sum()} of "
            f"{inside.size} settings (outlined); over the whole grid it goes like "
            f"n_beta to the power {slope:.2f}."
        )
    return (
        "There is no plateau: at no block of neighbouring settings do local estimates "
        f"agree. Over the grid λ̂ goes like n_beta to the power {slope:.2f}; 1 means "
        "that the chains do not feel the loss."
    )


SECTION = SectionSpec("llc_grid", draw, findings=findings)
