"""What a set of chains is worth, in a word and a sentence."""

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
# In standard errors; a chain's own is estimated, hence the wide margin.
MAX_DRIFT = 4.0
MIN_BELOW = 2.0


class Status(enum.StrEnum):
    """Whether a number may be used.

    `converged`: nothing speaks against it. `transient`: the chains have not reached, or
    not explored, what they converge to, or have never moved. `non_local`: they describe
    something other than the neighbourhood of w*. `diverged`: a loss was not finite.
    `below_initial_loss`: w* is not a minimum of what was sampled.
    """

    CONVERGED = "converged"
    TRANSIENT = "transient"
    NON_LOCAL = "non_local"
    DIVERGED = "diverged"
    BELOW_INITIAL_LOSS = "below_initial_loss"


class Verdict(NamedTuple):
    """A status, and the reason for it.

    Args:
        status: Whether the number may be used.
        sentence: Why, with the number that decided and what to do.
    """

    status: Status
    sentence: str


class Evidence(NamedTuple):
    """What a verdict is made from.

    Args:
        llc: Draws of n_beta (L(w) - L(w*)).
        loss: Mean sampled loss of each chain.
        dimension: Sampled coordinates.
        trivial_loss: Loss of a model that knows nothing, if there is one.
    """

    llc: Float[np.ndarray, "chain draw"]
    loss: Float[np.ndarray, " chain"]
    dimension: int
    trivial_loss: float | None


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
    """The verdict on all chains together, the worst that is true of them."""
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
    found = _place(evidence, float(llc.mean()), error, float(evidence.loss.mean()))
    if found is not None:
        return found
    still = sum(map(_never_moved, llc))
    if still:
        return Verdict(Status.TRANSIENT, f"{still} of {n} chains: {_STILL}")
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
    if not ess >= MIN_ESS_PER_CHAIN * n:
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
    found = _place(evidence, float(llc.mean()), error, float(evidence.loss[i]))
    if found is not None:
        return found
    if _never_moved(llc):
        return Verdict(Status.TRANSIENT, _STILL)
    if np.isnan(drift):
        return Verdict(Status.TRANSIENT, "too short to judge; raise `num_draws`.")
    if abs(drift) > MAX_DRIFT:
        return _drifting(drift, "it")
    return Verdict(Status.CONVERGED, f"begins where it ends (Geweke z {drift:.1f}).")


def _place(
    evidence: Evidence, mean: float, error: float, loss: float
) -> Verdict | None:
    """Whether the chains are somewhere else than around a minimum at w*."""
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
