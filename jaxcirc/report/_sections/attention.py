"""Scores of heads: the strongest in the overview, all of them as a heat map."""

import numpy as np
import xarray as xr

from ...plots import Curve, CurvePanel, step_heatmap
from .._heads import prominent_head
from .._results import by_seed, head_label, step_text
from .._section import Block, SectionSpec, View
from .._when import at_step, first_steps, when_first

# Scores of the overview and the findings: their words, their titles, their colours.
_TOLD = {
    "induction": ("induction", "induction score<br>(attention)", 2),
    "previous_token": ("previous-token", "previous-token<br>score (attention)", 3),
}


def overview(view: View) -> list[CurvePanel]:
    """A curve for every head, of which the most prominent stands out."""
    return [
        _panel(view.data[name], title, colour)
        for name, (_, title, colour) in _TOLD.items()
    ]


def draw(view: View) -> list[Block]:
    """Every score of every head over training."""
    data = view.data
    heads = [head_label(*place) for place in _places(data)]
    scores, units = {}, {}
    for name in map(str, data.data_vars):
        flat = data[name].mean("seed").transpose("layer", "head", "step")
        label = name.replace("_", " ")
        scores[label] = flat.values.reshape(len(heads), -1)
        units[label] = data[name].attrs.get("units", "")
    figure = step_heatmap(scores, heads, data["step"].values.tolist(), units)
    seeds = data.sizes["seed"]
    over = f", the mean of {seeds} seeds" if seeds > 1 else ""
    text = f"Scores on random tokens that repeat{over}. The buttons change the score."
    return [Block("Heads", text, figure)]


def findings(view: View) -> list[str]:
    """A sentence on the strongest head of each kind, and when it forms or is lost."""
    return [_of_head(view.data[name], kind) for name, (kind, _, _) in _TOLD.items()]


def _places(data: xr.Dataset | xr.DataArray) -> list[tuple[int, ...]]:
    """Layer and number of every head."""
    return list(np.ndindex(data.sizes["layer"], data.sizes["head"]))


def _panel(array: xr.DataArray, title: str, colour: int) -> CurvePanel:
    """Curves of all heads, of which the most prominent stands out."""
    found, steps = prominent_head(array), array["step"].values
    top = (found.layer, found.head)
    # The strongest head last, so that it lies on top of the others.
    heads = sorted(_places(array), key=lambda head: head == top)
    curves = [
        Curve(
            head_label(*head) if head == top else "other heads",
            steps,
            by_seed(array.isel(layer=head[0], head=head[1])),
            colour=colour,
            faint=head != top,
        )
        for head in heads
    ]
    chance = array.attrs.get("chance")
    return CurvePanel(title, curves, None if chance is None else float(chance))


def _of_head(score: xr.DataArray, kind: str) -> str:
    """A sentence on the strongest head of a kind."""
    found = prominent_head(score)
    if np.isnan(found.score):
        return f"No {kind} score is finite."
    series = score.isel(layer=found.layer, head=found.head)
    name = head_label(found.layer, found.head)
    # Told with the score, since the same number is much of long texts, little of short.
    uniform = f"uniform attention: {score.attrs['chance']:.2f}"
    if found.lost:
        mean = series.mean("seed").dropna("step")
        top = int(series["step"][found.place])
        after = mean.sel(step=slice(top, None))
        half = int(after["step"][int((after < found.score / 2).argmax("step"))])
        return (
            f"{name} is the strongest {kind} head, with a score of {found.score:.2f} "
            f"at step {step_text(top)} ({uniform}); it has less than half of that from "
            f"step {step_text(half)}, and {float(mean[-1]):.2f} at the end."
        )
    half = first_steps(series, lambda x: x >= found.score / 2)
    return (
        f"{name} is the strongest {kind} head {at_step(series, found.place)}, with a "
        f"score of {found.score:.2f} ({uniform}); it first has half of that "
        f"{when_first(half)}."
    )


SECTION = SectionSpec("attention", draw, overview, findings)
