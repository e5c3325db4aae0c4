"""How attention changes: divergences of heads, and patterns before and after."""

import base64
from pathlib import Path

import numpy as np
import xarray as xr

from ...plots import pattern_triple, step_heatmap
from .._results import head_label, step_text
from .._section import Block, SectionSpec, View
from .._thin import thinned, thinned_text

_DIMS = ("step", "layer", "head", "query_pos", "key_pos")


def draw(view: View) -> list[Block]:
    """Divergences of all heads over training, and one example's patterns."""
    mean = view.data["divergence"].mean("seed").transpose("layer", "head", "step")
    heads = [head_label(*place) for place in np.ndindex(mean.shape[:2])]
    steps = view.data["step"].values.tolist()
    flat = {"divergence": mean.values.reshape(len(heads), -1)}
    figure = step_heatmap(flat, heads, steps, {"divergence": "nats"})
    text = (
        "Jensen-Shannon divergence of each head's attention from the reference's, on "
        "the same examples: 0 for a head that attends as it did, at most ln 2 = 0.69."
    )
    return [Block("Change of attention", text, figure), _triples(view, heads)]


def findings(view: View) -> list[str]:
    """The head whose attention has changed most at the end."""
    mean = view.data["divergence"].mean("seed").transpose("step", "layer", "head")
    known = np.flatnonzero(np.isfinite(mean.values).any(axis=(1, 2)))
    if not len(known):
        return ["No divergence of attention patterns is finite."]
    last = mean.values[int(known[-1])]
    flat = np.where(np.isfinite(last), last, -np.inf)
    layer, head = np.unravel_index(int(flat.argmax()), flat.shape)
    step = step_text(int(mean["step"].values[int(known[-1])]))
    return [
        f"{head_label(int(layer), int(head))} attends most differently from the "
        f"reference at step {step}: by {last[layer, head]:.2g} nats, of at most 0.69."
    ]


def _triples(view: View, heads: list[str]) -> Block:
    """Patterns of one example before and after, behind sliders."""
    # One seed: the mean of several patterns is no pattern.
    data = view.data.isel(seed=0)
    after = data["pattern"].transpose(*_DIMS)
    before = data["reference_pattern"].transpose(*_DIMS)
    number = after.sizes["step"]
    # Two patterns of a byte each, and base64 writes three bytes as four letters.
    chosen = thinned(number, 2 * after.size // number * 4 // 3, view.budget)
    after, before = after.isel(step=chosen), before.isel(step=chosen)
    tokens = [str(token) for token in after["query_pos"].values]
    first = _most_changed(view)
    explorer = {
        "steps": after["step"].values.tolist(),
        "heads": heads,
        "first_head": first,
        "size": len(tokens),
        "before": _bytes(before),
        "after": _bytes(after),
    }
    shape = (len(heads), len(tokens), len(tokens))
    old, new = (
        np.nan_to_num(x.values[-1].reshape(shape)[first]) for x in (before, after)
    )
    figure = pattern_triple(old, new, tokens, names=("reference", "this checkpoint"))
    text = "One test example. Rows attend to columns; move the sliders."
    text += thinned_text(len(chosen), number)
    return Block("Attention before and after", text, figure, explorer, suffix="-triple")


def _most_changed(view: View) -> int:
    """The head whose attention has changed most at the end, counted over all layers."""
    last = view.data["divergence"].isel(step=-1).mean("seed")
    flat = last.transpose("layer", "head").values.ravel()
    return int(np.where(np.isfinite(flat), flat, -np.inf).argmax())


def _bytes(array: xr.DataArray) -> str:
    """Weights in [0, 1] as bytes from 0 to 255; what is not finite is 0."""
    values = np.nan_to_num(array.values, nan=0.0, posinf=0.0, neginf=0.0)
    levels = np.clip(np.rint(values * 255), 0, 255).astype(np.uint8)
    return base64.b64encode(levels.tobytes()).decode()


SECTION = SectionSpec(
    "pattern_change", draw, findings=findings, explorer=Path(__file__)
)
