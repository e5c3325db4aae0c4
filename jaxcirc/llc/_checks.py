"""The tests that an estimate has to pass to be `converged`, one function each.

Each says what is wrong, or None. Their limits were set on the families that
`benchmarks/llc_trust.py` calls `tuning`, and their error rates are in docs/llc.md.
"""

from collections.abc import Callable

import numpy as np

from ._evidence import TOLD, Evidence
from ._status import MIN_ESS, MIN_ESS_PER_CHAIN, Status, Verdict

Check = Callable[[Evidence], Verdict | None]

# Rank-normalised split R-hat: 1.01 is for publication-grade posteriors (Vehtari et al.
# 2021); chains that see minibatches are accepted a little earlier.
MAX_RHAT = 1.05
# Share of the value, or of its error where that is larger, that step size and minibatch
# noise may have added, or a slope at w* have taken away.
MAX_HEATING = 0.1
MAX_DROP = 0.1
# Share of the value by which it may still rise while the time of the chains doubles.
MAX_RISE = 0.05
# In standard errors, more than for what is then corrected for: every estimate that is
# right is asked, and is to be refused as seldom as that.
RISING = 3.0
# Share of the sampled weights that must have moved.
MIN_MOVED = 0.99
# Share of the time that a chain may stand still.
MAX_STANDING = 0.02


def still(of: Evidence) -> Verdict | None:
    """Draws that are all alike, which are worth none."""
    alike = (of.llc == of.llc[:, :1]).all(axis=1)
    if of.llc.shape[1] < 2 or not alike.any():
        return None
    return Verdict(
        Status.TRANSIENT,
        f"{alike.sum()} of {len(alike)} chains: every draw has the same loss, so they "
        "say nothing about it. Either no proposal was accepted (lower `step_size`), or "
        "steps are rounded away (raise it, or sample wider weights than half "
        "precision), or the loss does not depend on the weights.",
    )


def minimum(of: Evidence) -> Verdict | None:
    """Whether the loss falls from w*, by its slope there or to a place beyond a hill.

    A slope is told by where the chains lie on average along it. What lies lower than
    the slope explains is a basin of its own.
    """
    drop, value, error = of.told_drop, of.value, np.nan_to_num(of.error)
    # The value at the minimum near by, were the loss a quadratic.
    there = value + drop
    sloped = drop > MAX_DROP * abs(there)
    below = value < 0 and value < -TOLD * error
    if below and there < -TOLD * np.hypot(error, of.drop[1]):
        return Verdict(
            Status.NON_LOCAL,
            f"the chains lie below w* (LLC {value:.3g}), further than its slope "
            f"explains ({drop:.2g}): they have left it for a lower basin. Raise "
            "`gamma`, or lower `step_size`.",
        )
    if not (sloped or below):
        return None
    return Verdict(
        Status.BELOW_INITIAL_LOSS,
        f"w* is not a minimum of this loss: it falls from there by about {drop:.2g} in "
        f"units of the LLC ({value:.3g}), which is too low by that. Train longer, or "
        "raise `gamma`.",
    )


def knowledge(of: Evidence) -> Verdict | None:
    """Chains that have forgotten what the model has learnt."""
    loss = float(of.loss.mean())
    if of.trivial_loss is None or loss < of.trivial_loss:
        return None
    return Verdict(
        Status.NON_LOCAL,
        f"the sampled loss, {loss:.3g}, is no better than that of a model that knows "
        f"nothing, {of.trivial_loss:.3g}; lower `step_size`, or raise `n_beta` or "
        "`gamma`.",
    )


def heat(of: Evidence) -> Verdict | None:
    """More than a tenth of the value from step size and minibatch noise."""
    heating = float(of.heating.mean())
    # A value that is not told from 0 has no share that could be too large.
    if not heating > MAX_HEATING * max(of.value, np.nan_to_num(of.error)):
        return None
    return Verdict(
        Status.HEATED,
        f"the step size and the noise of minibatches add about {heating:.2g}, more "
        f"than {MAX_HEATING:.0%} of the value; lower `step_size`, or raise "
        "`batch_size`.",
    )


def ceiling(of: Evidence) -> Verdict | None:
    """A value that no minimum of this dimension has."""
    most = of.dimension / 2
    told = of.value - 3 * np.nan_to_num(of.error) > 1.1 * most
    # Chains that run away have an error as large as their value.
    if not (told or of.llc.mean(axis=1).min() > 2 * most):
        return None
    return Verdict(
        Status.NON_LOCAL,
        f"{of.value:.3g} is above d/2 = {most:.3g}, the most that any minimum has: the "
        "step size or minibatch noise heats the chains, or w* is no minimum.",
    )


def resolution(of: Evidence) -> Verdict | None:
    """Weights that are too large for the steps that they are to take."""
    moved = float(of.moved.min())
    if moved >= MIN_MOVED:
        return None
    return Verdict(
        Status.TRANSIENT,
        f"{1 - moved:.0%} of the sampled weights have not moved: their steps are lost "
        "to rounding. Raise `step_size`, or sample wider weights.",
    )


def acceptance(of: Evidence) -> Verdict | None:
    """Places where a sampler that tests its steps stands still.

    It enters them as rarely as it leaves them, so chains may agree and be wrong.
    """
    if of.standing <= MAX_STANDING:
        return None
    return Verdict(
        Status.TRANSIENT,
        f"the chains stand still for {of.standing:.0%} of the time, where next to no "
        "proposal is accepted; lower `step_size`, or raise the acceptance `target`.",
    )


def relaxation(of: Evidence) -> Verdict | None:
    """A mean that still changes with the time that the chains have."""
    rise, error = of.rise
    if not (abs(rise) > RISING * error and abs(rise) > MAX_RISE * abs(of.value)):
        return None
    way = "rising" if rise > 0 else "falling"
    return Verdict(
        Status.TRANSIENT,
        f"still {way}, by {abs(rise):.2g} while the time of the chains doubles; raise "
        "`num_burnin`.",
    )


def mixing(of: Evidence) -> Verdict | None:
    """Chains that differ by more than each of them varies."""
    if not of.rhat > MAX_RHAT:
        return None
    return Verdict(
        Status.TRANSIENT,
        f"chains disagree (split R-hat {of.rhat:.2f}); run them longer, with more "
        "burn-in.",
    )


def draws(of: Evidence, least: int = MIN_ESS) -> Verdict | None:
    """Too few independent draws to know the mean, or its error."""
    # So that too few draws to tell, which give NaN, count as too few.
    if of.ess >= least:
        return None
    return Verdict(
        Status.TRANSIENT,
        f"{of.llc.size:,} draws are worth {of.ess:.0f} independent ones; raise "
        "`num_draws` or `steps_between_draws`.",
    )


def draws_of_chain(of: Evidence) -> Verdict | None:
    """The same of one chain among several."""
    return draws(of, MIN_ESS_PER_CHAIN)


# In the order in which they are asked: what explains the most comes first.
ALONE: tuple[Check, ...] = (
    still,
    minimum,
    knowledge,
    heat,
    ceiling,
    resolution,
    acceptance,
    relaxation,
)
OF_CHAIN: tuple[Check, ...] = (*ALONE, draws_of_chain)
TOGETHER: tuple[Check, ...] = (*ALONE, mixing, draws)
