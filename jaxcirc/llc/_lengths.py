"""How long chains must be for a verdict and for the error that is asked for."""

import math
from typing import NamedTuple

import numpy as np

from ._diagnostics import mean_ess
from ._result import LLCEstimate
from ._status import MIN_ESS, MIN_ESS_PER_CHAIN

# Twice what a verdict asks for, since a short chain's own count of them is rough.
ENOUGH = 2
# Fewer draws of a chain than this show neither a drift nor an autocorrelation time.
MIN_DRAWS = 100


class Lengths(NamedTuple):
    """How long a chain is, and what it is worth.

    Attributes:
        num_burnin: Steps before the first draw.
        num_draws: Draws of each chain.
        steps_between_draws: Steps to a draw, about half an autocorrelation time.
        expected_ess: Independent draws that all chains together are expected to have.
        expected_error: Relative standard error of λ̂ that they give.
        wanted_error: The one that was asked for.
    """

    num_burnin: int
    num_draws: int
    steps_between_draws: int
    expected_ess: float
    expected_error: float
    wanted_error: float

    @property
    def is_enough(self) -> bool:
        """Whether the error is expected to be what was asked for, within a quarter."""
        return self.expected_error <= 1.25 * self.wanted_error

    @property
    def num_steps(self) -> int:
        """Steps of a whole chain."""
        return self.num_burnin + self.num_draws * self.steps_between_draws


def lengths_for(
    found: LLCEstimate, spacing: int, *, relative_error: float, max_steps: int
) -> Lengths:
    """Chains that a verdict can accept, of as small an error as they may have.

    The autocorrelation time and the spread of the draws are those of an estimate with
    the settings in question. The draws must be worth twice what a verdict asks for,
    and as many more as the error asks for, as far as half of `max_steps` goes; the
    other half is burn-in.

    Args:
        found: An estimate with as many chains as there are to be.
        spacing: Its `steps_between_draws`.
        relative_error: Relative standard error of λ̂ that is wanted.
        max_steps: Most steps of a chain.
    """
    half = max(max_steps // 2, 1)
    chains, draws = found.trace.shape
    good = found.trace[np.isfinite(found.trace).all(axis=1)]
    # Such chains say nothing about a length, so it is all that there is.
    if len(good) < chains or not found.value > 0:
        return Lengths(half, *_thinned(half, half), 0.0, math.inf, relative_error)
    now, ess = draws * spacing, mean_ess(good)
    error = found.standard_error / found.value
    least = ENOUGH * max(MIN_ESS, MIN_ESS_PER_CHAIN * chains)
    # Independent draws are as many times more as there are steps.
    needed = now * max(least / ess, (error / relative_error) ** 2)
    steps = int(min(max(math.ceil(needed), MIN_DRAWS), half))
    return Lengths(
        half,
        *_thinned(steps, round(now * chains / ess / 2)),
        expected_ess=ess * steps / now,
        expected_error=error * math.sqrt(now / steps),
        wanted_error=relative_error,
    )


def _thinned(steps: int, spacing: int) -> tuple[int, int]:
    """Draws, and steps between them, with at least `MIN_DRAWS` if there are as many."""
    spacing = max(min(spacing, steps // MIN_DRAWS), 1)
    return max(steps // spacing, 1), spacing
