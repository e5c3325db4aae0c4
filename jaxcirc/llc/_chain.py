"""One chain: burn-in, then draws, as one loop."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key, PyTree

from .._core import fold_name, linear_combination, squared_norm
from ._local import Local
from ._metropolis import langevin_acceptance
from ._problem import Problem
from ._sampler import AbstractSampler

Observables = Mapping[str, Callable[[PyTree], Array]]


class Schedule(NamedTuple):
    """How long a chain runs.

    Args:
        num_draws: What is kept.
        num_burnin: Steps before the first of them.
        steps_between_draws: Steps that a draw is the mean of.
        test_acceptance: Whether every draw also asks how many Langevin proposals a
            Metropolis test would accept there, at two more gradients.

    Example:
        >>> short = Schedule(num_draws=3, num_burnin=10, steps_between_draws=4)
        >>> short.lengths, short.num_steps
        ([2, 4, 4, 4, 4, 4], 22)
    """

    num_draws: int
    num_burnin: int
    steps_between_draws: int
    test_acceptance: bool = False

    @property
    def lengths(self) -> list[int]:
        """Steps of every block: burn-in, cut up as the draws are, then the draws."""
        whole, rest = divmod(self.num_burnin, self.steps_between_draws)
        burnin = ([rest] if rest else []) + [self.steps_between_draws] * whole
        return burnin + [self.steps_between_draws] * self.num_draws

    @property
    def num_steps(self) -> int:
        """Steps of a whole chain."""
        return self.num_burnin + self.num_draws * self.steps_between_draws


class Trace(NamedTuple):
    """What a chain tells, a row for every block of steps, those of burn-in first.

    Args:
        loss: Mean minibatch loss over the block's steps.
        excess: The same less that of the same examples at w*.
        gradient_norm: Mean length of the moves that the data asked for.
        localization_norm: Mean length of the pull towards w*.
        noise_norm: Mean length of the random moves.
        acceptance: Mean acceptance; for a sampler without a test, that of the test it
            leaves out where that was asked for, else 1.
        distance: From w*, at the end of the block.
        observed: Observables at the end of the block; zeros in burn-in.
    """

    loss: Float[Array, "... block"]
    excess: Float[Array, "... block"]
    gradient_norm: Float[Array, "... block"]
    localization_norm: Float[Array, "... block"]
    noise_norm: Float[Array, "... block"]
    acceptance: Float[Array, "... block"]
    distance: Float[Array, "... block"]
    observed: dict[str, Array]


def neighbourhood(
    problem: Problem,
    arrays: PyTree,
    mask: PyTree | None,
    baseline: Array | None,
    key: Key[Array, ""],
) -> Local:
    """The local posterior with the examples of one step.

    Args:
        problem: Loss and data.
        arrays: The model, whose floating arrays are the centre.
        mask: Which coordinates to sample.
        baseline: Losses of all examples at the centre, or one number in their place;
            None to evaluate the step's examples there.
        key: Random key of the step.
    """
    center, rest = eqx.partition(arrays, eqx.is_inexact_array)
    examples, places = problem.draw(key)

    def losses(w: PyTree) -> tuple[Array, Array]:
        each = problem.losses(eqx.combine(w, rest), examples)
        if baseline is None:
            before = problem.losses(arrays, examples)
        elif baseline.ndim == 0 or places is None:
            before = baseline
        else:
            before = baseline[places]
        # Differences first, so that a small excess keeps its digits.
        return each.mean(), (each - jax.lax.stop_gradient(before)).mean()

    return Local(center, mask, losses)


def sample_chain(
    problem: Problem,
    sampler: AbstractSampler,
    arrays: PyTree,
    mask: PyTree | None,
    baseline: Array | None,
    observables: Observables,
    schedule: Schedule,
    *,
    key: Key[Array, ""],
) -> Trace:
    """The trace of one chain from w*; burn-in and draws share one compiled body.

    Args:
        problem: Loss and data.
        sampler: How to move, with its numbers.
        arrays: The model, whose floating arrays are w*.
        mask: Which coordinates to sample; None for all.
        baseline: Losses at w*; see `neighbourhood`.
        observables: Functions of the model to evaluate at every draw.
        schedule: How long each chain runs.
        key: Random key of the chain.
    """
    center, rest = eqx.partition(arrays, eqx.is_inexact_array)

    def here(key: Key[Array, ""]) -> Local:
        return neighbourhood(problem, arrays, mask, baseline, key)

    # Folded from the step's number: a longer burn-in leaves earlier steps as they are.
    def step(i: Array, state: Any) -> tuple[Any, Any]:
        batch_key, own_key = jr.split(jr.fold_in(key, i))
        adapt = i < schedule.num_burnin
        return sampler.step(state, here(batch_key), adapt=adapt, key=own_key)

    init_batch, init_key = jr.split(fold_name(key, "init"))
    state = sampler.init(center, here(init_batch), key=init_key)
    # Sums begin as zeros of the right types, which only a trace of a step can tell.
    silent = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype),
        jax.eval_shape(lambda: step(jnp.int32(0), state)[1]),
    )

    def block(carry, length):
        state, begun = carry

        def body(i, carry):
            state, sums = carry
            state, info = step(i, state)
            return state, jax.tree.map(jnp.add, sums, info)

        end = begun + length
        state, sums = jax.lax.fori_loop(begun, end, body, (state, silent))
        means = jax.tree.map(lambda x: x / length.astype(x.dtype), sums)
        w = sampler.position(state)
        if schedule.test_acceptance and not sampler.full_batch:
            batch_key, own_key = jr.split(fold_name(jr.fold_in(key, end), "acceptance"))
            accepted = langevin_acceptance(w, here(batch_key), sampler, key=own_key)
            means = means._replace(acceptance=accepted)
        away = jnp.sqrt(squared_norm(linear_combination((1, w), (-1, center))))

        def observe():
            model = eqx.combine(w, rest)
            return {name: of(model) for name, of in observables.items()}

        nothing = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(observe)
        )
        # Observables may cost more than a step, and burn-in is not reported.
        observed = jax.lax.cond(end > schedule.num_burnin, observe, lambda: nothing)
        return (state, end), Trace(*means, distance=away, observed=observed)

    lengths = jnp.asarray(schedule.lengths, jnp.int32)
    return jax.lax.scan(block, (state, jnp.int32(0)), lengths)[1]
