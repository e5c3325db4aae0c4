"""Pilot chains: the curvature where they go, and the step size that suits it."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from .._core import fold_name
from ._curvature import Curvature, curvature, run_pilot
from ._job import Job
from ._sampler import AbstractSampler

# Pilot chains, each going on where the last one ended.
MAX_PILOTS = 8


def settle(
    job: Job, bias: float, gamma: float | None, max_steps: int, key: Key[Array, ""]
) -> tuple[Curvature, AbstractSampler]:
    """Curvature where pilot chains go, and the sampler that it asks for.

    The first checkpoint of the job is looked at. Pilots end when the curvature that
    they find no longer rises by a tenth, or after eight of them.

    Args:
        job: A sweep whose sampler knows its `n_beta`.
        bias: Relative error that step size and noise may cause.
        gamma: Strength of the localisation; None for the sampler's own.
        max_steps: Most steps of a chain; pilots have a quarter of it each.
        key: Key of pilot chains and probes.

    Returns:
        The curvature where the last pilot ended, and the sampler with its numbers.
    """
    model, dtype = job.model, job.dtype
    mask = None if job.masks is None else jax.tree.map(lambda m: m[0], job.masks)
    sampler = job.sampler
    sampler = sampler if gamma is None else sampler.with_numbers(gamma=gamma)
    blank = sampler.without_numbers()

    def pilot(
        sampler: AbstractSampler, state: Any, num_steps: int, name: str
    ) -> tuple[Any, Curvature]:
        numbers = {k: jnp.asarray(v, dtype) for k, v in sampler.numbers().items()}
        own = fold_name(key, name)
        where = (job.problem, blank, numbers, model, mask)
        state = run_pilot(*where, state, jnp.int32(num_steps), own)
        return state, curvature(*where, state, job.dimensions[0], key=own)

    # A preconditioner needs some gradients before its metric means anything.
    state, found = pilot(sampler.with_numbers(step_size=1e-30), None, 1, "start")
    # Steeper and steeper until the curvature no longer rises: a chain that leaves w*
    # for larger weights needs a smaller step size there.
    for i in range(MAX_PILOTS):
        before = found
        suited = with_step_size(sampler, found, bias)
        moved, after = pilot(suited, state, max_steps // 4, f"pilot {i}")
        if not np.isfinite(after.nodes).all():
            # The pilot has diverged: where it was, the loss is steeper than here.
            found = found.steeper(4.0)
            continue
        state, found = moved, after
        if found.largest <= 1.1 * before.largest:
            break
    return found, with_step_size(sampler, found, bias)


def with_step_size(
    sampler: AbstractSampler, found: Curvature, bias: float
) -> AbstractSampler:
    """The sampler with the largest step size whose predicted bias is allowed.

    Args:
        sampler: A sampler with its `n_beta` and `gamma`.
        found: The curvature that the step size must suit.
        bias: Relative error of λ̂ that SGLD with this step size may have.
    """
    numbers = sampler.numbers()
    step = found.step_size(bias, numbers["n_beta"], numbers["gamma"])
    # A time step is the root of a step size.
    step = math.sqrt(step) if sampler.has_momentum else step
    return sampler.with_numbers(step_size=step)
