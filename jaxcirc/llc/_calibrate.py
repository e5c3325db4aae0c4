"""Settings for a sampler, from the curvature and a short grid."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from jaxtyping import Array, Key, PyTree

from .._core import Objective, fold_name
from ._calibration import Calibration, Fit
from ._chain import Schedule
from ._curvature import Curvature
from ._job import Job, make_job
from ._lengths import Lengths, lengths_for
from ._plateau import Plateau, find_plateau
from ._prediction import Prediction, burnin_needed, predict, shortfall
from ._result import LLCEstimate
from ._sampler import AbstractSampler
from ._settle import settle
from ._sgld import SGLD
from ._status import MIN_ESS, Status
from ._sweep import sweep

# Statuses that speak against a setting, whatever its neighbours say.
_UNUSABLE = (Status.DIVERGED, Status.NON_LOCAL, Status.BELOW_INITIAL_LOSS)
# Gradients of a chain that is not told how many steps it may have.
GRADIENTS = 20_000
# Draws of each chain of the grid.
GRID_DRAWS = 500


def calibrate(
    loss_fn: Objective,
    params: PyTree,
    data: PyTree,
    sampler: AbstractSampler | None = None,
    *,
    steps: Sequence[int] | None = None,
    bias: float = 0.02,
    relative_error: float = 0.02,
    gamma: float | None = None,
    batch_size: int | None = None,
    mask: PyTree | None = None,
    trivial_loss: float | None = None,
    num_chains: int = 4,
    max_steps: int | None = None,
    step_factors: Sequence[float] = (0.25, 0.5, 1.0),
    beta_factors: Sequence[float] = (0.3, 1.0, 3.0),
    key: Key[Array, ""],
) -> Calibration:
    """Propose a step size and the length of chains, and say whether they hold.

    The step size is the largest whose predicted bias is within `bias`: the curvature's
    spectrum (Lanczos) and the minibatch gradient's variance are measured at w* and
    again where pilot chains have gone from there, since singular minima are steeper
    around than at w*. `n_beta` and `gamma` say *what* is estimated, and stay what they
    are; what the localisation takes away, and whether directions that matter relax in
    the time, is predicted from the same spectrum. A short grid of step sizes and
    n_betas around the proposal then shows whether the estimate holds still there.

    For a curve, give stacked checkpoints and their `steps`: there is one setting for
    all, that of the checkpoint whose step size suits most of the others, and those
    that it does not suit are in `misfits`. Pilots and grid run at every one of them, so
    a few along the curve are enough.

    Args:
        loss_fn: (weights, examples) -> the loss of each example: an objective, such as
            `objectives.CrossEntropy()`, or any function.
        params: Weights w*; with `steps`, every array has a leading checkpoint axis.
        data: Examples, or a function from a key to examples.
        sampler: What to calibrate; its step size is ignored, and its `n_beta`, if
            None, is n / ln n. SGLD if None.
        steps: Training steps of the checkpoints; None for a single model.
        bias: Relative error that step size and noise may cause, and that slow
            directions may before there is no plateau.
        relative_error: Relative standard error that the chain length is for.
        gamma: Strength of the localisation; None for that of the sampler.
        batch_size: Examples per step; None for all.
        mask: Which coordinates to sample, as in `estimate`.
        trivial_loss: Loss of a model that knows nothing.
        num_chains: Chains of the grid, and those that the length is for.
        max_steps: Most steps of a chain, in the grid and in the proposal, half of them
            burn-in; None for those that 20,000 gradients make.
        step_factors: Step sizes of the grid, relative to the proposal; ascending.
        beta_factors: n_betas of the grid, relative to the proposal; ascending.
        key: Key of pilots, probes and the grid.

    Returns:
        The sampler with its numbers, the lengths of chains, and the grid. Where its
        `plateau` is not found, λ̂ depends on the settings around the proposal, or
        chains are too short for it, whatever the status of single estimates.

    Raises:
        ValueError: an argument does not fit.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import llc
        >>> found = llc.calibrate(
        ...     lambda w, x: (w**2).sum() / 2 + 0 * x, jnp.zeros(6), jnp.zeros(1),
        ...     llc.HMC(1.0, n_beta=1000.0), max_steps=400, key=jr.key(0),
        ... )
        >>> round(found.predicted.quadratic_value, 3)  # 6/2 · 1000 / (1000 + 1)
        2.997
        >>> found.plateau.found, found.gradients <= 400 * 20
        (True, True)
    """
    base = SGLD(step_size=1.0) if sampler is None else sampler
    base = base if gamma is None else base.with_numbers(gamma=gamma)
    budget = GRADIENTS // base.gradients_per_step if max_steps is None else max_steps
    if not (bias > 0 and relative_error > 0 and budget >= 100):
        raise ValueError(
            "calibrate: `bias` and `relative_error` must be positive and `max_steps` "
            f"at least 100; got {bias}, {relative_error} and {budget}."
        )
    masks = None if mask is None else {"given": mask}
    job = _job(loss_fn, params, data, base, steps, masks, batch_size)
    found = [
        # The key of a checkpoint follows its step, not its place.
        settle(one, bias, None, budget, key if steps is None else jr.fold_in(key, step))
        for step, one in _one_by_one(job)
    ]
    proposal = _common(found, bias, budget // 2)
    grid = _Grid(step_factors, beta_factors, budget)
    estimates = sweep(
        loss_fn,
        params,
        data,
        proposal,
        steps=steps,
        grid=grid.around(proposal),
        masks=masks,
        num_chains=num_chains,
        num_draws=grid.num_draws,
        num_burnin=grid.budget // 2,
        steps_between_draws=grid.spacing,
        batch_size=batch_size,
        trivial_loss=trivial_loss,
        key=fold_name(key, "grid"),
    )
    places = estimates.estimates.reshape(len(found), *grid.shape)
    each = [
        lengths_for(e, grid.spacing, relative_error=relative_error, max_steps=budget)
        for e in places[:, *grid.centre]
    ]
    # The longest, which is enough for the others.
    lengths = max(each, key=lambda own: own.num_steps)
    fits = {
        step: _fit(curvature, proposal, lengths, own, bias, grid.plateau(place))
        for step, (curvature, _), own, place in zip(
            job.axes["checkpoint"], found, each, places, strict=True
        )
    }
    return Calibration(proposal, lengths, fits, estimates)


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
    """The step size that `calibrate` would propose, without its grid.

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
        gamma: Strength of the localisation; None for that of the sampler.
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
    job = _job(loss_fn, params, data, sampler, None, None, batch_size)
    return settle(job, bias, gamma, max_steps, key)[1]


class _Grid(NamedTuple):
    """Settings around a proposal, at which chains of half a budget are drawn."""

    step_factors: Sequence[float]
    beta_factors: Sequence[float]
    budget: int

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.step_factors), len(self.beta_factors)

    @property
    def centre(self) -> tuple[int, int]:
        """Where the proposal is, or the nearest to it."""
        steps, betas = (
            int(np.argmin(np.abs(np.log(f))))
            for f in (self.step_factors, self.beta_factors)
        )
        return steps, betas

    @property
    def spacing(self) -> int:
        return max(self.budget // 2 // GRID_DRAWS, 1)

    @property
    def num_draws(self) -> int:
        return min(GRID_DRAWS, self.budget // 2)

    def around(self, proposal: AbstractSampler) -> dict[str, list[float]]:
        numbers = proposal.numbers()
        return {
            "step_size": [f * numbers["step_size"] for f in self.step_factors],
            "n_beta": [f * numbers["n_beta"] for f in self.beta_factors],
        }

    def plateau(self, estimates: np.ndarray) -> Plateau:
        """Whether the estimates at one checkpoint hold still."""

        def each(of: Callable[[LLCEstimate], Any]) -> np.ndarray:
            return np.array([of(e) for e in estimates.flat]).reshape(self.shape)

        return find_plateau(
            each(lambda e: e.value),
            # Only ratios matter.
            self.step_factors,
            self.beta_factors,
            usable=each(lambda e: e.status not in _UNUSABLE),
            standard_errors=each(lambda e: e.standard_error),
        )


def _job(
    loss_fn: Objective,
    params: PyTree,
    data: PyTree,
    sampler: AbstractSampler,
    steps: Sequence[int] | None,
    masks: Mapping[str, PyTree] | None,
    batch_size: int | None,
) -> Job:
    """A checked job for pilots, whose chains and lengths are their own."""
    return make_job(
        loss_fn,
        params,
        data,
        sampler,
        steps=steps,
        grid=None,
        masks=masks,
        seeds=None,
        num_chains=1,
        schedule=Schedule(1, 1, 1),
        batch_size=batch_size,
        observables=None,
    )


def _one_by_one(job: Job) -> Iterator[tuple[int, Job]]:
    """Each checkpoint as a job of its own, by step."""
    for i, step in enumerate(job.axes["checkpoint"]):
        models = jax.tree.map(
            lambda x, i=i: x[i : i + 1] if eqx.is_array(x) else x, job.models
        )
        yield step, job._replace(models=models)


def _common(
    found: Sequence[tuple[Curvature, AbstractSampler]], bias: float, half: int
) -> AbstractSampler:
    """The proposal that suits most checkpoints; of equals that of the smallest step."""

    def suits(curvature: Curvature, sampler: AbstractSampler) -> bool:
        numbers = sampler.numbers()
        squared = numbers["step_size"] ** (2 if sampler.has_momentum else 1)
        heated = curvature.bias(squared, numbers["n_beta"], numbers["gamma"])
        # Of its own checkpoint the bias is what was asked for, up to rounding.
        stiff = heated > 1.01 * bias
        return not stiff and shortfall(curvature, sampler, half, half) <= bias

    def worth(sampler: AbstractSampler) -> tuple[int, float]:
        number = sum(suits(curvature, sampler) for curvature, _ in found)
        return number, -sampler.numbers()["step_size"]

    return max((sampler for _, sampler in found), key=worth)


def _fit(
    curvature: Curvature,
    sampler: AbstractSampler,
    lengths: Lengths,
    own: Lengths,
    bias: float,
    plateau: Plateau,
) -> Fit:
    """How settings suit a checkpoint whose own chains would be as long as `own`."""
    steps = lengths.num_draws * lengths.steps_between_draws
    predicted = predict(curvature, sampler, lengths.num_burnin, steps)
    why = _too_short(curvature, sampler, lengths, predicted, bias)
    if why is None and plateau.found and own.expected_ess < MIN_ESS:
        why = (
            f"chains of {lengths.num_steps:,} steps are worth about "
            f"{own.expected_ess:.0f} independent draws, and a verdict asks for "
            f"{MIN_ESS}; raise `max_steps`"
        )
    if why is not None:
        plateau = plateau._replace(found=False, sentence=f"no plateau: {why}.")
    return Fit(curvature, predicted, plateau)


def _too_short(
    curvature: Curvature,
    sampler: AbstractSampler,
    lengths: Lengths,
    predicted: Prediction,
    bias: float,
) -> str | None:
    """Why chains are too short for directions that matter; None if they are not."""
    if predicted.shortfall <= bias:
        return None
    needed = burnin_needed(curvature, sampler, bias)
    more = "" if needed is None else f" to about {2 * needed:,}"
    return (
        f"{predicted.shortfall:.1%} of λ̂ is in directions that have not relaxed after "
        f"{lengths.num_burnin:,} steps; raise `max_steps`{more}, or precondition"
    )
