"""Weights: how long each group of them is, and how fast it moves."""

import numpy as np
import xarray as xr

from ...plots import Curve, CurvePanel, developmental_curves
from .._results import by_seed, step_text
from .._section import Block, SectionSpec, View


def draw(view: View) -> list[Block]:
    """A curve for each group of weights: its norm, and its change relative to it."""
    data = view.data
    groups = _groups([str(part) for part in data["part"].values])
    steps = data["step"].values
    norms, ratios = [], []
    for colour, (group, members) in enumerate(groups.items()):
        inside = data.sel(part=members)
        length = (inside["norm"] ** 2).sum("part") ** 0.5
        norms.append(Curve(group, steps, by_seed(length), colour))
        # The first checkpoint has none before it to have moved from.
        ratio = (moved(inside) / length).where(length["step"] > steps[0])
        ratios.append(Curve(group, steps, by_seed(ratio), colour))
    panels = [
        CurvePanel("Frobenius norm", norms),
        CurvePanel("change / norm", ratios, log=True),
    ]
    text = (
        "Length of each group of weights, and how far it moved since the checkpoint "
        "before, relative to its length."
    )
    if len(set(np.diff(steps).tolist())) > 1:
        text += " Checkpoints are not evenly spaced."
    return [Block("Weights", text, developmental_curves(panels))]


def findings(view: View) -> list[str]:
    """A sentence on the norm of all weights, and where it is highest."""
    norm = view.data["norm"]
    total = ((norm**2).sum("part", skipna=False) ** 0.5).mean("seed")
    total = total.where(np.isfinite(total)).dropna("step")
    if not total.sizes["step"]:
        return ["The norm of all weights together is finite at no checkpoint."]
    top = int(total.argmax("step"))
    return [
        f"The norm of all weights together goes from {float(total[0]):.3g} to "
        f"{float(total[-1]):.3g}, and is highest at step "
        f"{step_text(int(total['step'][top]))} with {float(total[top]):.3g}."
    ]


def moved(parts: xr.Dataset) -> xr.DataArray:
    """The distance of all weights from the checkpoint before, up to rounding."""
    each = parts["norm"] * parts["update_ratio"]
    # What was zero before has moved by all of its length.
    each = each.where(~np.isinf(parts["update_ratio"]), parts["norm"])
    return (each**2).sum("part") ** 0.5


def _groups(parts: list[str]) -> dict[str, list[str]]:
    """The parts of each group of weights."""
    groups: dict[str, list[str]] = {}
    for part in parts:
        groups.setdefault(_group(part), []).append(part)
    return groups


def _group(part: str) -> str:
    """The group that a part belongs to."""
    if ".attn." in part:
        return "attention"
    if ".mlp." in part:
        return "MLP"
    if "ln" in part:
        return "norms"
    return "unembedding" if part.endswith("_U") else "embedding"


SECTION = SectionSpec("weights", draw, findings=findings)
