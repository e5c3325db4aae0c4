"""Whether the number that a set of chains gives may be used, and why."""

import enum
from typing import NamedTuple

# Fewer independent draws than this cannot show that chains, which all begin at w*,
# still rise together.
MIN_ESS = 80
# And a chain by itself is not judged by fewer.
MIN_ESS_PER_CHAIN = 10


class Status(enum.StrEnum):
    """Whether a number may be used.

    `converged`: no test speaks against it. `transient`: the chains have not reached, or
    not explored, what they converge to, or have never moved. `non_local`: they describe
    something other than the neighbourhood of w*. `diverged`: a loss was not finite.
    `below_initial_loss`: w* is not a minimum, so that the value is too low by more than
    a tenth. `heated`: step size or the noise of minibatches have added more than a
    tenth of the value.
    """

    CONVERGED = "converged"
    TRANSIENT = "transient"
    NON_LOCAL = "non_local"
    DIVERGED = "diverged"
    BELOW_INITIAL_LOSS = "below_initial_loss"
    HEATED = "heated"


class Verdict(NamedTuple):
    """Whether a number may be used, and the reason in words.

    Args:
        status: Whether it may be used.
        sentence: Why, and what to do where it may not.
    """

    status: Status
    sentence: str
