"""How well the task is done: three panels of the overview, and when it was learnt."""

from collections.abc import Callable

import numpy as np
import xarray as xr

from ...plots import Curve, CurvePanel
from .._results import by_seed, step_text
from .._section import SectionSpec, View, nothing
from .._when import at_step, first_steps, last_finite, when_first

PASSED = 0.95


def overview(view: View) -> list[CurvePanel]:
    """Loss, right answers and logit difference, train beside test."""
    return [
        _panel(view.data["loss"], "loss<br>(nats)", log=True),
        _panel(view.data["rank_0_rate"], "right answer<br>first (share)"),
        _panel(view.data["logit_difference"], "logit difference<br>(logits)"),
    ]


def findings(view: View) -> list[str]:
    """Sentences on when answers become right, and on how far apart splits are."""
    data = view.data
    # Where logits are not numbers, no answer comes first.
    rate = data["rank_0_rate"].where(np.isfinite(data["loss"]))
    train, test = (rate.sel(split=split) for split in ("train", "test"))
    told = [
        _learnt(of, data["loss"].sel(split=split))
        for of, split in ((train, "train"), (test, "test"))
    ]
    return [*told, *_delay(train, test), *_steepest(test.mean("seed").dropna("step"))]


def _panel(array: xr.DataArray, title: str, *, log: bool = False) -> CurvePanel:
    """A panel with a curve for each split."""
    steps, chance = array["step"].values, array.attrs.get("chance")
    curves = [
        Curve(split, steps, by_seed(array.sel(split=split)), i, dashed=i == 1)
        for i, split in enumerate(("train", "test"))
    ]
    return CurvePanel(title, curves, None if chance is None else float(chance), log)


def _learnt(rate: xr.DataArray, loss: xr.DataArray) -> str:
    """A sentence on right answers of a split, since when, and the loss."""
    split, mean = str(rate["split"].values), loss.mean("seed")
    end = last_finite(mean)
    if end is None:
        return f"On {split} examples the loss is finite at no checkpoint."
    known = mean[np.isfinite(mean)]
    share = float(rate.isel(step=end).mean())
    when = f"first more than {PASSED:.0%} {when_first(first_steps(rate, _passed))}"
    if share < PASSED and float(rate.isel(step=0).mean()) >= PASSED:
        lost = first_steps(rate, lambda x: x < PASSED)
        when = f"first less than {PASSED:.0%} {when_first(lost)}"
    return (
        f"On {split} examples the right answer comes first {_percent(share)} of the "
        f"time {at_step(loss, end)}, and {when}. "
        f"Loss goes from {float(known[0]):.3g} to {float(known[-1]):.3g} nats."
    )


def _delay(train: xr.DataArray, test: xr.DataArray) -> list[str]:
    """A sentence on how much later test examples are right than train examples."""
    of: Callable[[xr.DataArray], list[int]] = lambda rate: first_steps(rate, _passed)
    pairs = list(zip(of(train), of(test), strict=True))
    delays = [b - a for a, b in pairs if a >= 0 and b > a]
    if not delays:
        return []
    ratio = np.median([b / max(a, 1) for a, b in pairs])
    return [
        f"Test follows train {step_text(int(np.median(delays)))} steps later, at "
        f"{ratio:.1f} times the step."
    ]


def _steepest(rate: xr.DataArray) -> list[str]:
    """Sentences on where right answers rise most, and where what is learnt falls."""
    if rate.sizes["step"] < 2:
        return []  # nothing can rise with a single checkpoint
    rise = rate.diff("step")
    # Finetuning makes right answers fall.
    word, turn = ("fall", -rise) if float(rise.sum()) < 0 else ("rise", rise)
    where = int(turn.argmax("step"))
    before, after = (int(rate["step"][where + i]) for i in (0, 1))
    return [
        f"Right answers on test examples {word} most between the checkpoints of steps "
        f"{step_text(before)} and {step_text(after)}, by "
        f"{_percent(float(turn[where]))}."
    ]


def _passed(rate: np.ndarray) -> np.ndarray:
    """Where most answers are right."""
    return rate >= PASSED


def _percent(share: float) -> str:
    """A share in per cent."""
    return f"{100 * share:.1f}%"


SECTION = SectionSpec(
    "performance",
    draw=nothing,  # the overview shows all of it
    overview=overview,
    findings=findings,
    headline=True,
)
