"""What the verdicts on a set of chains are made from."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Bool, Float

from ._diagnostics import (
    error_of_mean,
    mean_ess,
    rise_per_doubling,
    split_rhat,
    standard_error,
    tail_ess,
)

# In standard errors: what is smaller is not told from chance.
TOLD = 2.0
# Moves that a window is expected to make: fewer are absent by chance.
MOVES_PER_WINDOW = 10
# A window with less than this share of them stands still.
STANDING = 0.1


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What some chains tell that bears on whether their mean may be used.

    All of it is of finite chains: `kept` leaves the others out.

    Attributes:
        llc: Draws of n_beta (L(w) - L(w*)).
        burnin: The same during burn-in; no blocks for a sampler that is another one
            then.
        loss: Mean sampled loss of each chain.
        distance: From w*, by draw.
        slope: n_beta ∇L(w*)·(w - w*), by draw.
        acceptance: By draw; None for a sampler that does not test.
        steps_between_draws: Steps of each draw.
        dimension: Sampled coordinates.
        trivial_loss: Loss of a model that knows nothing; None if there is no such.
        heating: What step size and minibatch noise add to `llc` in each chain; NaN
            where that is not known.
        moved: Share of the sampled weights that have moved in each chain.
    """

    llc: Float[np.ndarray, "chain draw"]
    burnin: Float[np.ndarray, "chain block"]
    loss: Float[np.ndarray, " chain"]
    distance: Float[np.ndarray, "chain draw"]
    slope: Float[np.ndarray, "chain draw"]
    acceptance: Float[np.ndarray, "chain draw"] | None
    steps_between_draws: int
    dimension: int
    trivial_loss: float | None
    heating: Float[np.ndarray, " chain"]
    moved: Float[np.ndarray, " chain"]

    def kept(self, chains: Bool[np.ndarray, " chain"]) -> "Evidence":
        """The evidence of some chains alone.

        Args:
            chains: True for those to keep.
        """
        arrays = {
            f.name: value[chains]
            for f in dataclasses.fields(self)
            if isinstance(value := getattr(self, f.name), np.ndarray)
        }
        return dataclasses.replace(self, **arrays)

    @functools.cached_property
    def value(self) -> float:
        """The mean of all draws."""
        return float(self.llc.mean())

    @functools.cached_property
    def error(self) -> float:
        """Standard error of `value`, as an estimate states it."""
        return error_of_mean(self.llc, self.distance)

    @functools.cached_property
    def ess(self) -> float:
        """Independent draws that the mean is worth."""
        return mean_ess(self.llc)

    @functools.cached_property
    def tail_ess(self) -> float:
        """Independent draws that the tails are worth."""
        return tail_ess(self.llc)

    @functools.cached_property
    def rhat(self) -> float:
        """Rank-normalised split R-hat, of the draws and of their spread."""
        return split_rhat(self.llc)

    @functools.cached_property
    def rise(self) -> tuple[float, float]:
        """How much the mean rises while the chains' time doubles, and its error.

        NaN where there are too few draws for an effective size.
        """
        if np.isnan(self.ess):
            return float("nan"), float("nan")
        whole = np.concatenate([self.burnin, self.llc], axis=1)
        return rise_per_doubling(whole, self.error * self.llc.size**0.5)

    @functools.cached_property
    def drop(self) -> tuple[float, float]:
        """How far below w* a minimum lies, in units of the LLC, and its error.

        On a quadratic whose minimum is not at w* the mean of the slope is -2 n_beta
        (L(w*) - L(minimum)), whatever its curvatures are.
        """
        return -0.5 * float(self.slope.mean()), 0.5 * standard_error(self.slope)

    @property
    def told_drop(self) -> float:
        """The drop where it is told from 0; else 0."""
        drop, error = self.drop
        return drop if drop > TOLD * error else 0.0

    @functools.cached_property
    def standing(self) -> float:
        """Share of the time in which a tenth as many proposals are accepted as ever."""
        if self.acceptance is None or not (mean := self.acceptance.mean()) > 0:
            return 0.0
        # A low acceptance that is the same everywhere only makes windows longer.
        per_window = int(np.ceil(MOVES_PER_WINDOW / mean / self.steps_between_draws))
        chains, draws = self.acceptance.shape
        windows = max(draws // per_window, 1)
        used = self.acceptance[:, : windows * per_window].reshape(chains, windows, -1)
        return float((used.mean(axis=-1) < STANDING * mean).mean())
