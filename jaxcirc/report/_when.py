"""When something holds, in the words of findings."""

from collections.abc import Callable, Sequence

import numpy as np
import xarray as xr

from ._results import by_seed, last_finite as last_finite, step_text


def first_steps(
    series: xr.DataArray, holds: Callable[[np.ndarray], np.ndarray]
) -> list[int]:
    """The first checkpoint at which something holds, for each seed.

    Args:
        series: Numbers with axes `step` and `seed`.
        holds: Values -> where it holds, element by element.

    Returns:
        A step for each seed; -1 where it holds at none.
    """
    steps, there = series["step"].values, holds(by_seed(series))
    return [int(steps[row.argmax()]) if row.any() else -1 for row in there]


def when_first(steps: Sequence[int]) -> str:
    """The step at which something holds first, in words.

    Of several seeds it is the median, with how many there are, and from when to when.
    """
    # A seed at which it never holds has no step, and is counted by its absence.
    passed = [s for s in steps if s >= 0]
    if not passed:
        return "at no checkpoint"
    if len(steps) == 1:
        return f"at step {step_text(passed[0])}"
    low, middle, high = (step_text(int(f(passed))) for f in (min, np.median, max))
    who = f"{len(passed)} of {len(steps)} seeds"
    return f"at step {middle} ({who}, {low} to {high})"


def at_step(series: xr.DataArray, place: int) -> str:
    """The step and the seeds that a number is of, in words.

    Args:
        series: Numbers with axes `step` and `seed`.
        place: Index of the step that the number is of.
    """
    one = series.isel(step=place)
    finite = int(np.isfinite(one).sum())
    last = place == series.sizes["step"] - 1
    when = "at the end"
    if not last:
        step = step_text(int(series["step"][place]))
        when = f"at step {step}, the last with a finite value"
    if finite < one.size:
        when += f" (mean of the {finite} of {one.size} seeds that are finite)"
    return when
