"""Settings for a sampler, from the curvature and a short grid."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from .._core import Objective, fold_name
from ._chain import Schedule
from ._curvature import Curvature, curvature, run_pilot
from ._diagnostics import mean_ess
from ._job import Job, make_job
from ._plateau import Plateau, find_plateau
from ._result import LLCEstimate
from ._sampler import AbstractSampler
from ._sgld import SGLD
from ._status import Status
from ._sweep import Sweep, sweep

# Pilot chains, each going on where the last one ended.
MAX_PILOTS = 8
# Statuses that speak against a setting, whatever its neighbours say.
_UNUSABLE = (Status.DIVERGED, Status.NON_LOCAL, Status.BELOW_INITIAL_LOSS)


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Calibration:
    """Settings, what they promise, and the grid that bears them out or does not.

    Attributes:
        sampler: The sampler with its step size, `n_beta` and `gamma`.
        num_burnin: Steps until the slowest direction that matters has relaxed.
        num_draws: Draws for the relative error that was asked for.
        steps_between_draws: About half an autocorrelation time, in steps.
        predicted_bias: Relative error of λ̂ from step size and minibatch noise, on a
            quadratic with the measured spectrum.
        predicted_value: λ̂ of that quadratic, which a singular model need not have.
        curvature: Spectrum and gradient noise, where a pilot chain ended.
        plateau: Whether the grid's estimates hold still, and where.
        grid: The estimates over step sizes and n_betas.
    """

    sampler: AbstractSampler
    num_burnin: int
    num_draws: int
    steps_between_draws: int
    predicted_bias: float
    predicted_value: float
    curvature: Curvature
    plateau: Plateau
    grid: Sweep

    def __repr__(self) -> str:
        s = self.sampler
        return (
            f"{type(s).__name__}(step_size={s.step_size:.3g}, n_beta={s.n_beta:.4g}, "
            f"gamma={s.gamma:.3g}), {self.num_burnin:,} + {self.num_draws:,} × "
            f"{self.steps_between_draws} steps, predicted bias "
            f"{100 * self.predicted_bias:.1f}%; {self.plateau.sentence}"
        )

    @property
    def options(self) -> dict[str, int]:
        """The lengths, as arguments for `estimate` or `sweep`."""
        return {
            "num_burnin": self.num_burnin,
            "num_draws": self.num_draws,
            "steps_between_draws": self.steps_between_draws,
        }


def calibrate(
    loss_fn: Objective,
    params: PyTree,
    data: PyTree,
    sampler: AbstractSampler | None = None,
    *,
    bias: float = 0.02,
    relative_error: float = 0.02,
    gamma: float | None = None,
    batch_size: int | None = None,
    mask: PyTree | None = None,
    trivial_loss: float | None = None,
    num_chains: int = 4,
    max_steps: int = 20_000,
    step_factors: Sequence[float] = (0.25, 0.5, 1.0),
    beta_factors: Sequence[float] = (0.3, 1.0, 3.0),
    key: Key[Array, ""],
) -> Calibration:
    """Propose step size, n_beta, gamma and chain length, and say if they hold.

    The step size is the largest whose predicted bias is within `bias`: the curvature's
    spectrum (Lanczos) and the minibatch gradient's variance are measured at w* and
    again where pilot chains have gone from there, since singular minima are steeper
    around than at w*. `gamma` is the least that lets the flattest direction relax
    within a quarter of `max_steps`. A short grid of step sizes and n_betas around the
    proposal then shows whether the estimate holds still there.

    Args:
        loss_fn: (weights, examples) -> the loss of each example: an objective, such as
            `objectives.CrossEntropy()`, or any function.
        params: Weights w*.
        data: Examples, or a function from a key to examples.
        sampler: What to calibrate; its step size is ignored, and its `n_beta`, if
            None, is n / ln n. SGLD if None.
        bias: Relative error that step size and noise may cause.
        relative_error: Relative standard error that the chain length is for.
        gamma: Strength of the localisation; None to propose it, at least 1.
        batch_size: Examples per step; None for all.
        mask: Which coordinates to sample, as in `estimate`.
        trivial_loss: Loss of a model that knows nothing.
        num_chains: Chains of the grid, and those that the length is for.
        max_steps: Most steps of a chain, in the grid and in the proposal.
        step_factors: Step sizes of the grid, relative to the proposal; ascending.
        beta_factors: n_betas of the grid, relative to the proposal; ascending.
        key: Key of pilots, probes and the grid.

    Returns:
        The sampler with its numbers, the lengths of chains, and the grid. Where its
        `plateau` is not found, λ̂ depends on the settings around the proposal, whatever
        the status of single estimates.

    Raises:
        ValueError: an argument does not fit.
    """
    base = SGLD(step_size=1.0) if sampler is None else sampler
    if not (bias > 0 and relative_error > 0 and max_steps >= 100):
        raise ValueError(
            "calibrate: `bias` and `relative_error` must be positive and `max_steps` "
            f"at least 100; got {bias}, {relative_error} and {max_steps}."
        )
    job = make_job(
        loss_fn,
        params,
        data,
        base,
        steps=None,
        grid=None,
        masks=None if mask is None else {"given": mask},
        seeds=None,
        num_chains=num_chains,
        schedule=Schedule(1, 1, 1),
        batch_size=batch_size,
        observables=None,
    )
    found, proposal = settle(job, bias, gamma, max_steps, key)
    numbers = proposal.numbers()
    n_beta, own_gamma = numbers["n_beta"], numbers["gamma"]
    half = max(max_steps // 2, 1)
    draws = min(500, half)
    grid = sweep(
        loss_fn,
        params,
        data,
        proposal,
        grid={
            "step_size": [f * numbers["step_size"] for f in step_factors],
            "n_beta": [f * n_beta for f in beta_factors],
        },
        masks=None if mask is None else {"given": mask},
        num_chains=num_chains,
        num_draws=draws,
        num_burnin=half,
        steps_between_draws=max(half // draws, 1),
        batch_size=batch_size,
        trivial_loss=trivial_loss,
        key=fold_name(key, "grid"),
    )
    estimates = grid.estimates.reshape(len(step_factors), len(beta_factors))
    plateau = _plateau(grid, estimates)
    # The prediction is for the step size of SGLD, the square of a time step.
    squared = numbers["step_size"] ** (2 if proposal.has_momentum else 1)
    exact, _ = found.predicted(squared, n_beta, own_gamma)
    centre = estimates[
        int(np.argmin(np.abs(np.log(step_factors)))),
        int(np.argmin(np.abs(np.log(beta_factors)))),
    ]
    length = _length(centre, max(half // draws, 1), relative_error, max_steps)
    return Calibration(
        proposal,
        half,
        *length,
        predicted_bias=found.bias(squared, n_beta, own_gamma),
        predicted_value=exact,
        curvature=found,
        plateau=plateau,
        grid=grid,
    )


def propose(
    loss_fn: Objective,
    params: PyTree,
    data: PyTree,
    sampler: AbstractSampler,
    *,
    bias: float = 0.02,
    gamma: float | None = None,
    batch_size: int | None = None,
    max_steps: int = 20_000,
    key: Key[Array, ""],
) -> AbstractSampler:
    """The step size and gamma that `calibrate` would propose, without its grid.

    The step size is the largest whose predicted bias on the measured curvature is at
    most `bias`; for a sampler with momentum it is the square root of that, a time step.
    The prediction is that of a quadratic with the measured spectrum: it is no promise
    for a singular minimum, which is what the grid of `calibrate` tests. It costs up to
    nine pilot chains of a quarter of `max_steps` each, and a few Hessian products.

    Args:
        loss_fn: (weights, examples) -> the loss of each example: an objective, such as
            `objectives.CrossEntropy()`, or any function.
        params: Weights w*.
        data: Examples, or a function from a key to examples.
        sampler: The sampler whose step size is wanted; its own step size is ignored.
        bias: Relative error that step size and noise may cause.
        gamma: Strength of the localisation; None to propose it, at least 1.
        batch_size: Examples per step; None for all.
        max_steps: Most steps of a chain; each pilot takes a quarter of it.
        key: Key of pilot chains and probes.

    Returns:
        The sampler with that step size, `gamma` and `n_beta`.

    Raises:
        ValueError: an argument does not fit.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import llc
        >>> found = llc.propose(
        ...     lambda w, x: (w**2).sum() / 2 + 0 * x, jnp.zeros(8), jnp.zeros(1),
        ...     llc.SGLD(1.0, n_beta=1000.0), gamma=1.0, max_steps=100, key=jr.key(0),
        ... )
        >>> # SGLD's bias on this loss is 1 / (1 - ε (n_beta + gamma) / 4) - 1 = 0.02.
        >>> round(found.step_size * 1e5, 2), round(4e5 * (1 - 1 / 1.02) / 1001, 2)
        (7.84, 7.84)
    """
    job = make_job(
        loss_fn,
        params,
        data,
        sampler,
        steps=None,
        grid=None,
        masks=None,
        seeds=None,
        num_chains=1,
        schedule=Schedule(1, 1, 1),
        batch_size=batch_size,
        observables=None,
    )
    return settle(job, bias, gamma, max_steps, key)[1]


def settle(
    job: Job, bias: float, gamma: float | None, max_steps: int, key: Key[Array, ""]
) -> tuple[Curvature, AbstractSampler]:
    """Curvature where pilot chains go, and the sampler that it asks for.

    Args:
        job: A sweep with one checkpoint, whose sampler knows its `n_beta`.
        bias: Relative error that step size and noise may cause.
        gamma: Strength of the localisation; None to propose it.
        max_steps: Most steps of a chain; pilots have a quarter of it each.
        key: Key of pilot chains and probes.

    Returns:
        The curvature where the last pilot ended, and the sampler with its numbers.
    """
    model, dtype = job.model, job.dtype
    mask = None if job.masks is None else jax.tree.map(lambda m: m[0], job.masks)
    n_beta = job.sampler.numbers()["n_beta"]
    blank = job.sampler.without_numbers()
    # A preconditioner needs some gradients before its metric means anything.
    tiny = job.sampler.with_numbers(step_size=1e-30, gamma=gamma or 1.0)

    def pilot(
        sampler: AbstractSampler, state: Any, num_steps: int, name: str
    ) -> tuple[Any, Curvature]:
        numbers = {k: jnp.asarray(v, dtype) for k, v in sampler.numbers().items()}
        own = fold_name(key, name)
        where = (job.problem, blank, numbers, model, mask)
        state = run_pilot(*where, state, jnp.int32(num_steps), own)
        return state, curvature(*where, state, job.dimensions[0], key=own)

    def propose(found: Curvature) -> AbstractSampler:
        own = 1.0 if gamma is None else gamma
        step = found.step_size(bias, n_beta, own)
        if gamma is None:
            # 2 / (ε γ) steps relax the flattest direction.
            own = max(1.0, 8 / (step * found.metric[0] * max_steps))
            step = found.step_size(bias, n_beta, own)
        step = math.sqrt(step) if job.sampler.has_momentum else step
        return job.sampler.with_numbers(step_size=step, gamma=own)

    # Steeper and steeper until the curvature no longer rises: a chain that leaves w*
    # for larger weights needs a smaller step size there.
    state, found = pilot(tiny, None, 1, "start")
    for i in range(MAX_PILOTS):
        before = found
        moved, after = pilot(propose(found), state, max_steps // 4, f"pilot {i}")
        if not np.isfinite(after.nodes).all():
            found = _steeper(found, 4.0)
            continue
        state, found = moved, after
        if found.largest <= 1.1 * before.largest:
            break
    return found, propose(found)


def _steeper(found: Curvature, factor: float) -> Curvature:
    """A larger curvature than was measured, where a pilot has diverged."""
    return found._replace(nodes=found.nodes * factor, noise=found.noise * factor)


def _plateau(grid: Sweep, estimates: np.ndarray) -> Plateau:
    def each(of: Any) -> np.ndarray:
        return np.array([of(e) for e in estimates.flat]).reshape(estimates.shape)

    return find_plateau(
        each(lambda e: e.value),
        list(grid.axes["step_size"]),
        list(grid.axes["n_beta"]),
        usable=each(lambda e: e.status not in _UNUSABLE),
        standard_errors=each(lambda e: e.standard_error),
    )


def _length(
    found: LLCEstimate, spacing: int, relative_error: float, max_steps: int
) -> tuple[int, int]:
    """Draws, and steps between them, that reach a relative standard error."""
    good = found.trace[np.isfinite(found.trace).all(axis=1)]
    # This chain says nothing about a length, so it is a usual one.
    if not len(good) or not found.value > 0:
        return 1000, max(max_steps // 2000, 1)
    time = good.size / mean_ess(good)
    spacing = max(round(spacing * time / 2), 1)
    needed = (good.std() / (relative_error * found.value)) ** 2 / len(found.trace)
    # Draws half an autocorrelation time apart are worth half a draw each.
    most = max(max_steps // spacing, 1)
    return int(min(max(math.ceil(2 * needed), 200), max(most, 1))), spacing
