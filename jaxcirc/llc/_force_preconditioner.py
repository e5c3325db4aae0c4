"""A diagonal preconditioner from the forces that pilot chains meet."""

import dataclasses
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key, PyTree

from .._core import Objective, fold_name, keep, linear_combination
from ._chain import Schedule, neighbourhood
from ._curvature import curvature
from ._hmc import HMC
from ._job import Job, make_job
from ._preconditioner import DiagonalPreconditioner
from ._problem import Problem
from ._sampler import AbstractSampler

# Where tuning begins once all weights have a stiffness of about 1.
STEP = 0.2


def force_preconditioner(
    loss_fn: Objective,
    params: PyTree,
    data: PyTree,
    *,
    n_beta: float | None = None,
    gamma: float = 1.0,
    mask: PyTree | None = None,
    rounds: int = 4,
    num_steps: int = 60,
    num_leapfrog: int = 20,
    key: Key[Array, ""],
) -> DiagonalPreconditioner:
    """Step sizes of all weights, from the mean squares of the forces on them.

    For w drawn from exp(-U), E[(∂_i U)²] = E[∂_i² U] (integration by parts), so the
    mean square of the force F = n_beta ∇L + gamma (w - w*) along a chain is the mean
    stiffness in a weight. Unlike the curvature at w* it knows the walls that the chain
    runs into, and the kinks of ReLUs, which no second derivative sees. G_i is 1 over
    that, and at most 1 / gamma: weights that the pilot has not moved enough look flat.

    Pilots are HMC on all the data, which tunes its step size. The first one has no
    preconditioner and moves as far as the stiffest direction lets it; each of the
    others goes on with what the one before has found, so that weights are told apart in
    turn. The cost is `rounds` · `num_steps` · `num_leapfrog` gradients; the result
    serves any sampler with a `preconditioner`, minibatches or not.

    Args:
        loss_fn: (weights, examples) -> the loss of each example.
        params: Weights w*.
        data: Examples with a leading axis; not a function, since pilots need them all.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation, above 0.
        mask: Which coordinates to sample, as in `estimate`.
        rounds: Pilots, each with the preconditioner of the one before.
        num_steps: Trajectories of each, the second half of which is measured.
        num_leapfrog: Gradients of a trajectory.
        key: Key of the pilots.

    Returns:
        G, so that steps of about 1 suit every weight: `step_size` is near 0.2 for HMC.

    Raises:
        ValueError: an argument does not fit, or no force was finite.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import llc
        >>> h = jnp.array([1e4, 1.0])
        >>> G = llc.force_preconditioner(
        ...     lambda w, x: (h * w**2).sum() / 2 + 0 * x, jnp.zeros(2), jnp.zeros(1),
        ...     n_beta=100.0, gamma=1.0, num_leapfrog=5, key=jr.key(0),
        ... )
        >>> stiffness = 1 / G.scale  # n_beta h + gamma is about 1e6 and 101
        >>> bool(5e5 < stiffness[0] < 2e6), bool(50 < stiffness[1] < 200)
        (True, True)
    """
    if not (gamma > 0 and rounds >= 1 and num_steps >= 2):
        raise ValueError(
            "force_preconditioner: needs `gamma` above 0, `rounds` of at least 1 and "
            f"`num_steps` of at least 2; got {gamma}, {rounds} and {num_steps}."
        )
    blank = HMC(1.0, n_beta=n_beta, gamma=gamma, num_leapfrog=num_leapfrog)
    job = make_job(
        loss_fn,
        params,
        data,
        blank,
        steps=None,
        grid=None,
        masks=None if mask is None else {"given": mask},
        seeds=None,
        num_chains=1,
        schedule=Schedule(1, 1, 1),
        batch_size=None,
        observables=None,
    )
    pilot = _Pilot(job, None if job.masks is None else _first(job.masks), num_steps)
    w = eqx.filter(job.model, eqx.is_inexact_array)
    scale = jax.tree.map(lambda x: jnp.full_like(x, 1 / gamma), w)
    step = pilot.first_step(fold_name(key, "curvature"))
    for i in range(rounds):
        w, forces = pilot(w, scale, step, jr.fold_in(key, i))
        if not all(bool(jnp.isfinite(f).all()) for f in jax.tree.leaves(forces)):
            raise ValueError(
                "force_preconditioner: a force is not finite around w*; raise `gamma` "
                "or look at the loss there."
            )
        scale = jax.tree.map(lambda f: 1 / jnp.maximum(f, gamma), forces)
        # From here on all weights have a stiffness of about 1.
        step = STEP
    return DiagonalPreconditioner(scale)


class _Pilot(NamedTuple):
    """HMC from one place to another, with the forces that it meets."""

    job: Job
    mask: PyTree | None
    num_steps: int

    def __call__(
        self, w: PyTree, scale: PyTree, step_size: float, key: Key[Array, ""]
    ) -> tuple[PyTree, PyTree]:
        """Where the chain ends, and the mean square of the force on every weight."""
        job, dtype = self.job, self.job.dtype
        sampler = dataclasses.replace(
            job.sampler,
            preconditioner=DiagonalPreconditioner(scale),
            step_size=step_size,
        )
        numbers = {k: jnp.asarray(v, dtype) for k, v in sampler.numbers().items()}
        blank = sampler.without_numbers()
        where = (job.problem, blank, numbers, job.model, self.mask)
        return _forces(*where, w, self.num_steps, key)

    def first_step(self, key: Key[Array, ""]) -> float:
        """A time step that the curvature at w* allows, in units of 1 / √gamma."""
        job, dtype = self.job, self.job.dtype
        numbers = {k: jnp.asarray(v, dtype) for k, v in job.sampler.numbers().items()}
        local = neighbourhood(job.problem, job.model, self.mask, None, key)
        state = job.sampler.init(local.center, local, key=key)
        where = (job.problem, job.sampler.without_numbers(), numbers, job.model)
        found = curvature(*where, self.mask, state, job.dimensions[0], key=key)
        own = job.sampler.numbers()
        stiffness = own["n_beta"] * max(found.largest, 0.0) + own["gamma"]
        return 0.5 * math.sqrt(own["gamma"] / stiffness)


def _first(masks: PyTree) -> PyTree:
    return jax.tree.map(lambda m: m[0], masks)


@eqx.filter_jit
def _forces(
    problem: Problem,
    sampler: AbstractSampler,
    numbers: dict[str, Array],
    model: PyTree,
    mask: PyTree | None,
    w: PyTree,
    num_steps: int,
    key: Key[Array, ""],
) -> tuple[PyTree, PyTree]:
    """Where a chain ends, and the mean squares of the forces in its second half."""
    tuned: Any = sampler.with_numbers(**numbers)
    local = neighbourhood(problem, model, mask, None, key)

    def force_squared(state: Any) -> PyTree:
        away = local.displacement(state.position)
        force = linear_combination(
            (tuned.n_beta, state.at.gradient), (tuned.gamma, away)
        )
        return jax.tree.map(jnp.square, keep(force, mask))

    def body(i: Array, carry: tuple[Any, PyTree]) -> tuple[Any, PyTree]:
        state, squares = carry
        own = jr.fold_in(key, i)
        state, _ = tuned.step(state, local, adapt=jnp.array(True), key=own)
        count = jnp.where(i >= num_steps // 2, 1.0, 0.0)
        added = linear_combination((1, squares), (count, force_squared(state)))
        return state, added

    state = tuned.init(w, local, key=key)
    zeros: Float[Array, "..."] = jax.tree.map(jnp.zeros_like, w)
    state, squares = jax.lax.fori_loop(0, num_steps, body, (state, zeros))
    measured = num_steps - num_steps // 2
    return state.position, linear_combination((1 / measured, squares))
