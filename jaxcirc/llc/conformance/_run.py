"""A sampler scored against losses whose coefficients are known."""

import dataclasses
import time
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import scipy
from jaxtyping import Array, Key

from ..._core import fold_name, number_dtype
from .._chain import Schedule
from .._hmc import HMC
from .._job import make_job
from .._sampler import AbstractSampler
from .._settle import settle
from .._status import Status
from .._sweep import sweep
from ._families import (
    Family,
    deep_linear,
    normal_crossings,
    quadratics,
    random_deep_linear,
)

# Draws that a chain's second half is divided into.
_DRAWS = 500


@dataclasses.dataclass(frozen=True)
class Score:
    """What a sampler gave on one loss whose coefficient is known.

    Attributes:
        family: Name of the family of losses.
        case: Label of the case in it.
        truth: What a perfect sampler gives.
        value: What this one gave; NaN if every chain diverged.
        standard_error: Standard error of `value`.
        status: Status of the estimate.
        gradients: Gradient evaluations of one chain, burn-in included.
        seconds: Share of the family's wall time, compilation included.
    """

    family: str
    case: str
    truth: float
    value: float
    standard_error: float
    status: Status
    gradients: int
    seconds: float

    @property
    def error(self) -> float:
        """Relative error, value / truth - 1."""
        return self.value / self.truth - 1


@dataclasses.dataclass(frozen=True)
class Conformance:
    """The scores of one sampler; printed, a table with a line for each case.

    Attributes:
        sampler: Name of the sampler's class.
        scores: One score for each case.
    """

    sampler: str
    scores: Sequence[Score]

    @property
    def median_error(self) -> float:
        """Median absolute relative error; a case without a value counts as infinite."""
        return float(np.median(_absolute(self.scores)))

    @property
    def max_error(self) -> float:
        """Largest absolute relative error."""
        return float(_absolute(self.scores).max())

    @property
    def rank_correlation(self) -> float:
        """Spearman's ρ between estimates and truths: 1 if their order is preserved."""
        # A case without a value has no rank.
        found = [s for s in self.scores if np.isfinite(s.value)]
        if len(found) < 2:
            return float("nan")
        pairs = np.array([(s.value, s.truth) for s in found])
        return float(scipy.stats.spearmanr(pairs[:, 0], pairs[:, 1])[0])  # pyright: ignore

    def __str__(self) -> str:
        head = f"{'case':<44}{'exact':>9}{'found':>9}{'± se':>8}{'error':>8}  status"
        lines = [f"{self.sampler}", head]
        lines += [
            f"{s.family + ': ' + s.case:<44}{s.truth:>9.4g}{s.value:>9.4g}"
            f"{s.standard_error:>8.2g}{100 * s.error:>7.1f}%  {s.status}"
            for s in self.scores
        ]
        per_chain = int(np.median([s.gradients for s in self.scores]))
        lines.append(
            f"median error {100 * self.median_error:.1f}%, largest "
            f"{100 * self.max_error:.1f}%, rank correlation "
            f"{self.rank_correlation:.4f}, {per_chain:,} gradients per chain (median)"
        )
        return "\n".join(lines)


def standard_families() -> list[Family]:
    """The losses that `run` scores a sampler against unless it is given others.

    Eight quadratics and nine normal crossings, whose truths hold at the temperature
    that is sampled at, and five reduced-rank and three deep linear networks, whose
    truths are limits. What a sampler misses here it also misses where nobody knows the
    truth.

    Returns:
        Ten families with 25 cases in all.

    Example:
        >>> sum(len(family.labels) for family in standard_families())
        25
    """
    reduced = [(5, 3, 5, 2), (5, 4, 5, 1), (4, 3, 8, 1), (8, 3, 4, 2), (3, 8, 4, 1)]
    return [
        quadratics(),
        normal_crossings(),
        *(deep_linear((m, h, n), r, seed=i) for i, (m, h, n, r) in enumerate(reduced)),
        *random_deep_linear(3, seed=1, layers=(3, 4), width=(5, 12)),
    ]


def run(
    sampler: AbstractSampler,
    *,
    families: Sequence[Family] | None = None,
    effort: float = 1.0,
    bias: float = 0.02,
    key: Key[Array, ""],
) -> Conformance:
    """A sampler's score on losses whose coefficients are known.

    `n_beta` and `gamma` are each family's own, and the step size is what `calibrate`
    proposes for its stiffest member; whatever else the sampler has is kept.

    Args:
        sampler: What to score.
        families: Against what; `standard_families` if None.
        effort: Factor on the gradients that each family allows a chain.
        bias: Relative error that the step size may cause.
        key: Key of every pilot and chain.

    Returns:
        A score for each case, and their median, largest error and rank correlation.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc import llc
        >>> from jaxcirc.llc import conformance
        >>> found = conformance.run(
        ...     llc.HMC(1.0, num_leapfrog=5), effort=0.2, key=jr.key(0),
        ...     families=[conformance.quadratics(number=2, d=2)],
        ... )
        >>> found.median_error < 0.05
        True
    """
    families = standard_families() if families is None else families
    scores: list[Score] = []
    for i, family in enumerate(families):
        own = fold_name(jr.fold_in(key, i), family.name)
        scores += run_family(sampler, family, effort=effort, bias=bias, key=own)
    return Conformance(type(sampler).__name__, scores)


def run_family(
    sampler: AbstractSampler,
    family: Family,
    *,
    effort: float,
    bias: float,
    key: Key[Array, ""],
) -> Iterator[Score]:
    """The scores of one family, whose cases and chains run as one program.

    Args:
        sampler: What to score; its `n_beta`, `gamma` and step size are replaced.
        family: The losses.
        effort: Factor on the gradients that the family allows a chain.
        bias: Relative error that the step size may cause.
        key: Key of pilot and chains.
    """
    began = time.monotonic()
    sampler = sampler.with_numbers(n_beta=family.n_beta, gamma=family.gamma)
    dtype = number_dtype(family.params)
    data = jnp.zeros(1, dtype)
    steps = int(family.gradients * effort / sampler.gradients_per_step)
    masks = None if family.mask is None else {"weights": family.mask}
    job = make_job(
        family.loss_fn,
        # One step size for all cases, so it must suit the steepest.
        jax.tree.map(lambda x: x[family.stiffest], family.params),
        data,
        sampler,
        steps=None,
        grid=None,
        masks=masks,
        seeds=None,
        num_chains=1,
        schedule=Schedule(1, 1, 1),
        batch_size=None,
        observables=None,
    )
    _, proposal = settle(job, bias, family.gamma, max(steps, 100), key)
    if isinstance(proposal, HMC):
        # Its own tuning begins where SGLD would be stable with little bias; longer.
        proposal = proposal.with_numbers(step_size=3 * proposal.step_size)
    draws = min(_DRAWS, max(steps // 2, 1))
    found = sweep(
        family.loss_fn,
        family.params,
        data,
        proposal,
        steps=list(range(len(family.labels))),
        masks=masks,
        num_chains=family.chains,
        num_draws=draws,
        num_burnin=max(steps // 2, 1),
        steps_between_draws=max(steps // 2 // draws, 1),
        key=key,
    )
    seconds = (time.monotonic() - began) / len(family.labels)
    for label, exact, estimate in zip(
        family.labels, family.truths, found.estimates.flat, strict=True
    ):
        yield Score(
            family.name,
            label,
            exact,
            estimate.value,
            estimate.standard_error,
            estimate.status,
            estimate.gradients // family.chains,
            seconds,
        )


def _absolute(scores: Sequence[Score]) -> np.ndarray:
    errors = np.abs([s.error for s in scores])
    # So that to diverge is never better than to be wrong.
    return np.where(np.isfinite(errors), errors, np.inf)
