"""The gradient at w* itself, which is zero at a minimum."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PyTree

from .._core import fold_name
from ._job import Job
from ._problem import Problem

# Share of the gradients of all chains that this one may cost.
SHARE = 0.02
# Batches that stand for all data where those are more than that allows.
MOST_BATCHES = 64


def center_gradients(job: Job) -> PyTree:
    """Gradient of the mean loss at every w*, with a leading checkpoint axis.

    Of all the data where that costs at most a fiftieth of what the chains do; else, and
    for a population, of as many batches as that allows. The noise of a batch has
    nothing to do with where chains lie, so it widens the error of what is made from
    this gradient and does not shift it.

    Args:
        job: The sweep.

    Returns:
        A pytree like the floating arrays of `job.models`.
    """
    steps = job.schedule.num_steps * job.sampler.gradients_per_step
    allowed = max(int(SHARE * steps * job.lengths["chain"]), 1)
    n, size = job.problem.n, job.problem.batch_size
    whole = n is not None and (size is None or -(-n // size) <= allowed)
    batches = None if whole else min(allowed, MOST_BATCHES)
    return _center_gradients(job.problem, job.models, batches)


@eqx.filter_jit
def _center_gradients(problem: Problem, models: PyTree, batches: int | None) -> PyTree:
    arrays, static = eqx.partition(models, eqx.is_array)

    def one(here: PyTree) -> PyTree:
        w, rest = eqx.partition(eqx.combine(here, static), eqx.is_inexact_array)

        def summed(w: PyTree, examples: PyTree, kept: Array | float) -> Array:
            return (problem.losses(eqx.combine(w, rest), examples) * kept).sum()

        return _mean_gradient(problem, jax.grad(summed), w, batches)

    # One after the other, since the activations of all may not fit at once.
    return jax.lax.map(one, arrays)


def _mean_gradient(
    problem: Problem, gradient: Callable[..., PyTree], w: PyTree, batches: int | None
) -> PyTree:
    """The mean over all data, or over some batches, one batch at a time.

    Args:
        problem: Loss and data.
        gradient: (weights, examples, their weights) -> gradient of the weighted sum.
        w: Where.
        batches: How many batches; None for all data.
    """
    n, size = problem.n, problem.batch_size
    if batches is not None:
        keys = jr.split(fold_name(jr.key(0), "slope"), batches)

        def of_draw(key: Array) -> PyTree:
            examples, _ = problem.draw(key)
            drawn = jax.tree.leaves(examples)[0].shape[0]
            return gradient(w, examples, 1.0 / (batches * drawn))

        return _sum_over(of_draw, keys, w)
    assert n is not None
    if size is None:
        return gradient(w, problem.data, 1.0 / n)
    places = jnp.arange(-(-n // size) * size)

    def of_rows(row: Array) -> PyTree:
        # The last batch is filled up from the front, with weights of zero.
        kept = jnp.where(row < n, 1.0 / n, 0.0)
        return gradient(w, problem.take(row % n), kept)

    return _sum_over(of_rows, places.reshape(-1, size), w)


def _sum_over(of: Callable[[Array], PyTree], each: Array, like: PyTree) -> PyTree:
    """The sum of `of` over the rows of `each`, without holding all of them."""

    def add(total: PyTree, x: Array) -> tuple[PyTree, None]:
        return jax.tree.map(jnp.add, total, of(x)), None

    return jax.lax.scan(add, jax.tree.map(jnp.zeros_like, like), each)[0]
