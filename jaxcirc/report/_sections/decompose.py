"""The change by values (OV), by patterns (QK) and by both: lengths and losses."""

from collections.abc import Mapping

import numpy as np

from ...plots import Curve, CurvePanel, developmental_curves
from .._results import by_seed, step_text
from .._section import Block, SectionSpec, View

_COLOURS = {"neither": 6, "OV": 0, "QK": 1, "interaction": 3, "both": 2}
_WORDS = {
    "OV": "values (OV: all weights but those of the patterns)",
    "QK": "patterns (QK)",
}


def draw(view: View) -> list[Block]:
    """Losses of mixed models, and lengths of the parts of the change."""
    data, steps = view.data, view.data["step"].values
    losses = [
        Curve(_label(str(name)), steps, by_seed(data["loss"].sel(changed=name)), colour)
        for name, colour in _COLOURS.items()
        if name in data["changed"].values
    ]
    sizes = [
        Curve(_label(name), steps, by_seed(data["size"].sel(part=name)), _COLOURS[name])
        for name in map(str, data["part"].values)
    ]
    panels = [
        CurvePanel("loss (nats)", losses, log=True),
        CurvePanel("part of the change<br>of logits", sizes),
    ]
    text = (
        "One model's weights under the other's attention patterns. With OV alone, "
        "all weights are the new ones and heads attend as they did before; with QK "
        "alone, weights are the old ones and heads attend as they do now. What neither "
        "does alone is the interaction. Lengths are relative to the whole change, and "
        "need not add up to 1."
    )
    return [Block("OV, QK and interaction", text, developmental_curves(panels))]


def findings(view: View) -> list[str]:
    """How the loss has changed at the end, and through which part."""
    data = view.data
    loss = data["loss"].mean("seed").transpose("step", "changed")
    known = np.flatnonzero(np.isfinite(loss.values).all(axis=1))
    if not len(known):
        return ["No loss of mixed models is finite."]
    place = int(known[-1])
    there = loss.isel(step=place)
    at = {str(n): float(there.sel(changed=n)) for n in there["changed"].values}
    step = step_text(int(data["step"].values[place]))
    whole = at["both"] - at["neither"]
    alone = {part: at[part] - at["neither"] for part in _WORDS}
    told = (
        f"with new values under the old patterns (OV) it is {at['OV']:.3g}, with old "
        f"values under the new patterns (QK) {at['QK']:.3g}"
    )
    ends = f"from {at['neither']:.3g} to {at['both']:.3g}"
    begun = f"The loss on {_examples(view)} goes {ends}"
    if whole <= 0.1 * abs(at["neither"]):
        return [f"{begun} at step {step}: nothing is lost; {told}."]
    # A loss that is less than doubled is something forgotten, and no circuit lost.
    what = "the circuit is lost" if whole > at["neither"] else "some is forgotten"
    return [f"{begun} at step {step}: {what}, {_through(alone, whole)}; {told}."]


def _through(alone: Mapping[str, float], whole: float) -> str:
    """Which part of the change raises the loss, by what each does alone.

    Args:
        alone: How much either part raises it.
        whole: How much both do.
    """
    enough = [part for part, rise in alone.items() if rise > whole / 2]
    if len(enough) == 1:
        return f"through {_WORDS[enough[0]]}"
    return "through either part alone" if enough else "through both parts together"


def _examples(view: View) -> str:
    """Whose examples the losses are of, in words."""
    task = view.data.attrs.get("task", "")
    return f"examples of {task}" if task else "the study's examples"


def _label(name: str) -> str:
    """What is new in a mixed model, or which part of the change it is."""
    whole = {"neither": "before", "both": "after", "interaction": "interaction"}
    return whole.get(name, f"{name} alone")


SECTION = SectionSpec("decompose", draw, findings=findings)
