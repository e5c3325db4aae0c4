"""One chain: burn-in, then draws, as one loop."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key, PyTree

from .._core import count, fold_name, inner, linear_combination, squared_norm
from ._local import Local
from ._mala import langevin_acceptance
from ._problem import Problem
from ._sampler import AbstractSampler

Observables = Mapping[str, Callable[[PyTree], Array]]


class Schedule(NamedTuple):
    """How long a chain runs.

    Args:
        num_draws: Draws that are kept.
        num_burnin: Steps before the first draw.
        steps_between_draws: Steps that a draw is the mean of.
        test_acceptance: Whether every draw also asks how many Langevin proposals a
            Metropolis test would accept there, at two more gradients.

    Example:
        >>> schedule = Schedule(num_draws=2, num_burnin=5, steps_between_draws=3)
        >>> schedule.lengths, schedule.num_steps  # burn-in of 2 + 3, then two draws
        ([2, 3, 3, 3], 11)
    """

    num_draws: int
    num_burnin: int
    steps_between_draws: int
    test_acceptance: bool = False

    @property
    def lengths(self) -> list[int]:
        """Steps of every block: burn-in, whose first may be shorter, then the draws."""
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
        excess: That loss less the mean loss of the same examples at w*.
        gradient_norm: Mean length of the moves that the data asked for.
        localization_norm: Mean length of the pull towards w*.
        noise_norm: Mean length of the random moves.
        acceptance: Mean acceptance; for a sampler without a test, that of the test it
            leaves out where that was asked for, else 1.
        heating: Mean of what step size and minibatch noise add to n_beta times excess.
        distance: From w*, at the end of the block.
        moved: Share of the sampled coordinates that are not where they began.
        slope: n_beta ∇L(w*)·(w - w*) at the end of the block; its mean is 0 where w*
            is a minimum.
        observed: Observables at the end of the block; zeros in burn-in.
    """

    loss: Float[Array, "... block"]
    excess: Float[Array, "... block"]
    gradient_norm: Float[Array, "... block"]
    localization_norm: Float[Array, "... block"]
    noise_norm: Float[Array, "... block"]
    acceptance: Float[Array, "... block"]
    heating: Float[Array, "... block"]
    distance: Float[Array, "... block"]
    moved: Float[Array, "... block"]
    slope: Float[Array, "... block"]
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
        key: Key that the step's examples are drawn with.
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
    center_gradient: PyTree,
    observables: Observables,
    schedule: Schedule,
    *,
    key: Key[Array, ""],
) -> Trace:
    """Run one chain from w*; burn-in and draws share one compiled body.

    Args:
        problem: Loss and data.
        sampler: How to sample, with its numbers as arrays.
        arrays: The model, whose floating arrays are w*.
        mask: Which coordinates to sample; None for all.
        baseline: Losses at w*, as `neighbourhood` takes them.
        center_gradient: Gradient of the mean loss at w*.
        observables: Functions of the model to evaluate at every draw.
        schedule: How many steps and draws.
        key: Key of the chain, from which every step folds its own.
    """
    center, rest = eqx.partition(arrays, eqx.is_inexact_array)

    def here(key: Key[Array, ""]) -> Local:
        return neighbourhood(problem, arrays, mask, baseline, key)

    def step(i: Array, state: Any) -> tuple[Any, Any]:
        # From the step's own number, so that the division into draws changes no noise.
        batch_key, own_key = jr.split(jr.fold_in(key, i))
        adapt = i < schedule.num_burnin
        return sampler.step(state, here(batch_key), adapt=adapt, key=own_key)

    init_batch, init_key = jr.split(fold_name(key, "init"))
    state = sampler.init(center, here(init_batch), key=init_key)
    # Sums begin as zeros of the shape that a step reports, without running one.
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
            accepted = langevin_acceptance(state, here(batch_key), sampler, key=own_key)
            means = means._replace(acceptance=accepted)
        moves = linear_combination((1, w), (-1, center))
        away = jnp.sqrt(squared_norm(moves))
        slope = inner(center_gradient, moves)
        slope = jnp.asarray(sampler.n_beta).astype(slope.dtype) * slope

        def observe():
            model = eqx.combine(w, rest)
            return {name: of(model) for name, of in observables.items()}

        # In burn-in an observable would cost as much, and be thrown away.
        nothing = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(observe)
        )
        observed = jax.lax.cond(end > schedule.num_burnin, observe, lambda: nothing)
        moved = _share_moved(w, center, mask)
        return (state, end), Trace(
            *means, distance=away, moved=moved, slope=slope, observed=observed
        )

    lengths = jnp.asarray(schedule.lengths, jnp.int32)
    return jax.lax.scan(block, (state, jnp.int32(0)), lengths)[1]


def _share_moved(w: PyTree, center: PyTree, mask: PyTree | None) -> Float[Array, ""]:
    """Share of the sampled coordinates that are not exactly where they began."""
    there = zip(jax.tree.leaves(w), jax.tree.leaves(center), strict=True)
    # Nothing but sampled coordinates ever moves.
    moved = jnp.stack([(a != b).sum(dtype=jnp.float32) for a, b in there]).sum()
    return moved / jnp.asarray(count(w, mask)).astype(moved.dtype)
