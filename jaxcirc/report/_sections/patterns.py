"""Attention patterns of one example: sliders over steps and heads."""

import base64
from pathlib import Path

import numpy as np
import xarray as xr

from ...plots import attention_pattern
from .._heads import prominent_head
from .._results import head_label
from .._section import Block, SectionSpec, View
from .._thin import thinned, thinned_text


def draw(view: View) -> list[Block]:
    """The pattern of the most prominent head at the end, and all others behind it."""
    # One seed: the mean of several patterns is no pattern.
    array = view.data["pattern"].isel(seed=0)
    array = array.transpose("step", "layer", "head", "query_pos", "key_pos")
    number = array.sizes["step"]
    # A byte for each weight, and base64 writes three of them as four letters.
    each = array.size // number * 4 // 3
    chosen = thinned(number, each, view.budget)
    array = array.isel(step=chosen)
    tokens = [str(token) for token in array["query_pos"].values]
    layer, head = _first_head(view)
    heads = [head_label(*i) for i in np.ndindex(*array.shape[1:3])]
    explorer = {
        "steps": array["step"].values.tolist(),
        "heads": heads,
        "first_head": heads.index(head_label(layer, head)),
        "size": len(tokens),
        "values": _bytes(array),
    }
    figure = attention_pattern(array.values[-1, layer, head], tokens)
    text = "One test example. Rows attend to columns; move the sliders."
    text += thinned_text(len(chosen), number)
    return [Block("Attention patterns", text, figure, explorer)]


def _bytes(array: xr.DataArray) -> str:
    """Weights in [0, 1] as bytes from 0 to 255; what is not finite is 0."""
    values = np.nan_to_num(array.values, nan=0.0, posinf=0.0, neginf=0.0)
    # Eight bits are more than a colour shows.
    levels = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    return base64.b64encode(levels.tobytes()).decode()


def _first_head(view: View) -> tuple[int, int]:
    """The head of the findings where heads have been scored, else the first."""
    for data in view.of_kind("attention"):
        if "induction" in data:
            found = prominent_head(data["induction"])
            return found.layer, found.head
    return 0, 0


SECTION = SectionSpec("patterns", draw, explorer=Path(__file__))
