"""From when to when something holds, for a series that may hover at the border."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Tenure(NamedTuple):
    """A time during which something holds.

    Args:
        begin: The first step at which it was seen to hold.
        before: The step before that, at which it did not; None where there is none, so
            that it may have held for long.
        end: The last step at which it was seen to hold.
        after: The step after that, at which it held no more; None where there is none.
    """

    begin: int
    before: int | None
    end: int
    after: int | None


def tenures(
    strength: Sequence[float] | np.ndarray,
    steps: Sequence[int] | np.ndarray,
    *,
    enter: float = 1.0,
    leave: float = 0.5,
) -> list[Tenure]:
    """The times during which a series is high, with hysteresis.

    It begins where the series reaches `enter` and ends where it falls below `leave`, so
    that one which hovers at a single border does not come and go at every checkpoint.
    When it happened is known to lie between two checkpoints: both are told. A step
    whose value is not finite says nothing, and is passed over.

    Args:
        strength: A value for each step.
        steps: The steps, ascending.
        enter: From where it begins.
        leave: Below where it ends, at most `enter`.

    Returns:
        Times in their order; none if the series never reaches `enter`.

    Raises:
        ValueError: there is not one value for each step, or `leave` is above `enter`.

    Example:
        >>> rises = tenures([0, 1.2, 0.8, 1.1, 0.3, 0.9], [0, 10, 20, 30, 40, 50])
        >>> rises
        [Tenure(begin=10, before=0, end=30, after=40)]
    """
    strength, steps = np.asarray(strength, float), np.asarray(steps)
    if strength.shape != steps.shape or strength.ndim != 1 or leave > enter:
        raise ValueError(
            f"tenures: needs one value for each step, and `leave` at most `enter`; got "
            f"{strength.shape} values, {steps.shape} steps, leave={leave} and "
            f"enter={enter}."
        )
    known = np.isfinite(strength)
    found, open_, last = [], None, None
    for value, step in zip(strength[known], steps[known].tolist(), strict=True):
        if open_ is None and value >= enter:
            open_ = Tenure(step, last, step, None)
        elif open_ is not None and value < leave:
            found.append(open_._replace(after=step))
            open_ = None
        elif open_ is not None:
            open_ = open_._replace(end=step)
        last = step
    return found if open_ is None else [*found, open_]
