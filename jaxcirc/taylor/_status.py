"""What may be said of a series at a place, in one word."""

import math
from typing import Literal

Status = Literal["inside", "outside", "polynomial", "kink", "unmoved", "unknown"]


def status_of(
    t: float, *, radius: float, kink: float, degree: int | None, moves: bool
) -> Status:
    """Whether a series can be believed at `t`.

    Args:
        t: Where.
        radius: Of convergence; NaN where it is not known.
        kink: The first place beyond which the function is another one.
        degree: Of a polynomial, or None.
        moves: Whether any coefficient but the first is not zero.
    """
    if not moves:
        return "unmoved"
    # Whatever the coefficients say, they know one side of a kink alone.
    if abs(t) > kink:
        return "kink"
    if degree is not None:
        return "polynomial"
    if math.isnan(radius):
        return "unknown"
    # On the circle itself a series may do either; nobody stands there exactly.
    return "inside" if abs(t) <= radius else "outside"
