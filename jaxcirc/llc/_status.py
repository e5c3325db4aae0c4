"""Whether the number that a set of chains gives may be used, and why."""

import enum
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ._diagnostics import geweke_z, mean_ess, split_rhat, standard_error

# Rank-normalised split R-hat: 1.01 is for publication-grade posteriors (Vehtari et al.
# 2021); chains that see minibatches are accepted a little earlier.
MAX_RHAT = 1.05
# Fewer independent draws per chain than this cannot show a drift.
MIN_ESS_PER_CHAIN = 10
# And fewer than this in all leave the error itself unknown by more than a tenth.
MIN_ESS = 50
# In standard errors; a chain's own is estimated, hence the wide margin.
MAX_DRIFT = 4.0
MIN_BELOW = 2.0
# Share of the value, or of its error where that is larger, that step size and minibatch
# noise may have added.
MAX_HEATING = 0.1
# Share of the sampled weights that must have moved.
MIN_MOVED = 0.99


class Status(enum.StrEnum):
    """Whether a number may be used.

    `converged`: nothing speaks against it. `transient`: the chains have not reached, or
    not explored, what they converge to, or have never moved. `non_local`: they describe
    something other than the neighbourhood of w*. `diverged`: a loss was not finite.
    `below_initial_loss`: w* is not a minimum of what was sampled. `heated`: step
    size or the noise of minibatches have added more than a tenth of the value.
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


class Evidence(NamedTuple):
    """What a verdict is made from.

    Args:
        llc: Draws of n_beta (L(w) - L(w*)).
        loss: Mean sampled loss of each chain.
        dimension: Sampled coordinates.
        trivial_loss: Loss of a model that knows nothing; None if there is no such.
        heating: What step size and minibatch noise add to `llc` in each chain; NaN
            where that is not known.
        moved: Share of the sampled weights that have moved in each chain.
    """

    llc: Float[np.ndarray, "chain draw"]
    loss: Float[np.ndarray, " chain"]
    dimension: int
    trivial_loss: float | None
    heating: Float[np.ndarray, " chain"]
    moved: Float[np.ndarray, " chain"]


def chain_verdicts(evidence: Evidence) -> list[Verdict]:
    """A verdict on each chain by itself."""
    good = np.asarray(np.isfinite(evidence.llc).all(axis=1))
    drift = np.full(len(good), np.nan)
    if good.any():
        drift[good] = geweke_z(evidence.llc[good])
    return [
        _of_chain(evidence, i, float(drift[i])) if ok else _diverged(evidence.llc[i])
        for i, ok in enumerate(good)
    ]


def verdict(evidence: Evidence, chains: list[Verdict]) -> Verdict:
    """The verdict on all chains together, the worst that is true of them.

    Args:
        evidence: What the chains gave.
        chains: The verdict on each chain by itself.
    """
    good = np.asarray(np.isfinite(evidence.llc).all(axis=1))
    n_bad, n = int((~good).sum()), len(good)
    if n_bad:
        rest = "none is left" if n_bad == n else "the value is that of the others"
        return Verdict(
            Status.DIVERGED,
            f"{n_bad} of {n} chains diverged and {rest}; lower `step_size`.",
        )
    llc = evidence.llc
    error = standard_error(llc)
    still = sum(map(_never_moved, llc))
    if still:
        return Verdict(Status.TRANSIENT, f"{still} of {n} chains: {_STILL}")
    found = _place(
        evidence,
        float(llc.mean()),
        error,
        float(evidence.loss.mean()),
        float(evidence.heating.mean()),
    )
    if found is not None:
        return found
    if (stuck := _stuck(float(evidence.moved.min()))) is not None:
        return stuck
    rhat, ess = split_rhat(llc), mean_ess(llc)
    drift = float(np.sum(geweke_z(llc)) / np.sqrt(n))
    if abs(drift) > MAX_DRIFT:
        return _drifting(drift, "the chains together")
    if rhat > MAX_RHAT:
        return Verdict(
            Status.TRANSIENT,
            f"chains disagree (split R-hat {rhat:.2f}); run them longer, with more "
            "burn-in.",
        )
    # So that too few draws to tell, which give NaN, count as too few.
    if not ess >= max(MIN_ESS_PER_CHAIN * n, MIN_ESS):
        return Verdict(
            Status.TRANSIENT,
            f"{llc.size:,} draws are worth {ess:.0f} independent ones; raise "
            "`num_draws` or `steps_between_draws`.",
        )
    drifting = [c for c in chains if c.status is Status.TRANSIENT]
    if len(drifting) > n / 2:
        return Verdict(
            Status.TRANSIENT,
            f"{len(drifting)} of {n} chains still drift; raise `num_burnin`.",
        )
    return Verdict(
        Status.CONVERGED,
        f"{n} chains agree (split R-hat {rhat:.3f}, {ess:.0f} independent draws).",
    )


def _of_chain(evidence: Evidence, i: int, drift: float) -> Verdict:
    llc = evidence.llc[i]
    error = standard_error(llc[None])
    if _never_moved(llc):
        return Verdict(Status.TRANSIENT, _STILL)
    found = _place(
        evidence,
        float(llc.mean()),
        error,
        float(evidence.loss[i]),
        float(evidence.heating[i]),
    )
    if found is not None:
        return found
    if (stuck := _stuck(float(evidence.moved[i]))) is not None:
        return stuck
    if np.isnan(drift):
        return Verdict(Status.TRANSIENT, "too short to judge; raise `num_draws`.")
    if abs(drift) > MAX_DRIFT:
        return _drifting(drift, "it")
    return Verdict(Status.CONVERGED, f"begins where it ends (Geweke z {drift:.1f}).")


def _place(
    evidence: Evidence, mean: float, error: float, loss: float, heating: float
) -> Verdict | None:
    """The verdict on chains that are not around a minimum at w*; None if they are."""
    if mean < -MIN_BELOW * max(error, 0.0) and mean < 0:
        return Verdict(
            Status.BELOW_INITIAL_LOSS,
            f"the mean sampled loss is below that of w* (LLC {mean:.3g}): w* is not a "
            "minimum of this loss. Train longer, or raise `gamma`.",
        )
    if evidence.trivial_loss is not None and loss >= evidence.trivial_loss:
        return Verdict(
            Status.NON_LOCAL,
            f"the sampled loss, {loss:.3g}, is no better than that of a model that "
            f"knows nothing, {evidence.trivial_loss:.3g}; lower `step_size`, or raise "
            "`n_beta` or `gamma`.",
        )
    # A value that is not told from 0 has no share that could be too large.
    if heating > MAX_HEATING * max(mean, np.nan_to_num(error)):
        return Verdict(
            Status.HEATED,
            f"the step size and the noise of minibatches add about {heating:.2g}, more "
            f"than {MAX_HEATING:.0%} of the value; lower `step_size`, or raise "
            "`batch_size`.",
        )
    ceiling = evidence.dimension / 2
    if mean - 3 * error > 1.1 * ceiling:
        return Verdict(
            Status.NON_LOCAL,
            f"{mean:.3g} is above d/2 = {ceiling:.3g}, the most that any minimum has: "
            "the step size or minibatch noise heats the chains, or w* is no minimum.",
        )
    return None


_STILL = (
    "every draw has the same loss, so they say nothing about it. Either no proposal "
    "was accepted (lower `step_size`), or steps are rounded away (raise it, or sample "
    "wider weights than half precision), or the loss does not depend on the weights."
)


def _stuck(moved: float) -> Verdict | None:
    """Whether some weights are too large for the steps that they are to take."""
    if moved >= MIN_MOVED:
        return None
    return Verdict(
        Status.TRANSIENT,
        f"{1 - moved:.0%} of the sampled weights have not moved: their steps are lost "
        "to rounding. Raise `step_size`, or sample wider weights.",
    )


def _never_moved(llc: Float[np.ndarray, " draw"]) -> bool:
    return len(llc) > 1 and bool((llc == llc[0]).all())


def _drifting(z: float, who: str) -> Verdict:
    way = "falling" if z > 0 else "rising"
    return Verdict(
        Status.TRANSIENT,
        f"{who} is still {way} (Geweke z {z:.1f}); raise `num_burnin`."
        if who == "it"
        else f"{who} are still {way} (Geweke z {z:.1f}); raise `num_burnin`.",
    )


def _diverged(llc: Float[np.ndarray, " draw"]) -> Verdict:
    first = int(np.flatnonzero(~np.isfinite(llc))[0])
    return Verdict(
        Status.DIVERGED,
        f"the loss is not finite from draw {first} on; lower `step_size`.",
    )
