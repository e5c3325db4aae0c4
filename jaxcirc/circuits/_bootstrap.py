"""How sure a score is: what other draws of the examples would have given."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Key

from .._core import student
from ._choose import ranks
from ._scores import Scores
from ._similarity import jaccard


class Confidence(NamedTuple):
    """Scores with what is known of their error.

    Args:
        low: Lower ends of the intervals, by edge.
        high: Upper ends.
        often: The share of the resamples in which an edge is among the top `n`.
        null_jaccard: The Jaccard index of the top `n` of two disjoint halves of the
            examples, the mean over random halves: what two samples of one and the same
            checkpoint give.
        null_low: The 2.5% quantile of that index over halves.
    """

    low: Float[Array, "source destination"]
    high: Float[Array, "source destination"]
    often: Float[Array, "source destination"]
    null_jaccard: Float[Array, ""]
    null_low: Float[Array, ""]


def bootstrap(
    scores: Scores,
    n: int | Int[Array, ""],
    *,
    resamples: int = 200,
    level: float = 0.95,
    key: Key[Array, ""],
) -> Confidence:
    """Intervals of all scores, and how often each edge would be chosen.

    Examples are drawn again with replacement, `resamples` times, which costs no further
    run of the model: the mean of each draw is a product of counts and scores. Intervals
    are the studentised mean's, t · s / √n with the sample's own standard deviation,
    since quantiles of resampled means are too narrow for few examples. The change of a
    circuit over training is to be read beside `null_jaccard`, which is what change of
    the examples alone does; halves are smaller than the whole, so it is a low bound.

    Args:
        scores: Scores that tell examples apart.
        n: How many edges are chosen; may be traced.
        resamples: Draws.
        level: Probability that an interval holds the mean of the population.
        key: Random key of the draws.

    Raises:
        ValueError: examples are not told apart, or there are fewer than four.
    """
    if scores.counts is None:
        raise ValueError(
            "bootstrap: scores must tell examples apart; got their mean. Ask for them "
            "with attribute(..., per_example=True)."
        )
    if scores.counts.shape[0] < 4:
        raise ValueError(
            f"bootstrap: {scores.counts.shape[0]} examples are too few to draw from; "
            "take at least 4, better 50."
        )
    return _bootstrap(scores, n, resamples, level, key)


@eqx.filter_jit
def _bootstrap(scores, n, resamples, level, key):
    values, counts = scores.values, scores.counts.astype(scores.values.dtype)
    number = counts.sum()
    low, high = _interval(values, counts, scores.mean, level)
    draw_key, half_key = jr.split(key)

    def chosen(weights):
        mean = jnp.tensordot(weights, values, 1) / weights.sum()
        return ranks(_of(scores, mean)) < n

    def resampled(key):
        drawn = jr.choice(key, counts.size, (counts.size,), p=counts / number)
        return chosen(jnp.zeros_like(counts).at[drawn].add(1))

    often = jax.lax.map(resampled, jr.split(draw_key, resamples), batch_size=20)

    def halves(key):
        # Those that do not count come last, whatever they draw.
        order = jnp.argsort(jr.uniform(key, counts.shape) + 2 * (1 - counts))
        place = jnp.argsort(order).astype(counts.dtype)
        first = (place < number // 2).astype(counts.dtype) * counts
        other = (1 - first) * counts
        return jaccard(chosen(first), chosen(other))

    null = jax.lax.map(halves, jr.split(half_key, resamples // 4), batch_size=20)
    quantile = jnp.quantile(null, 0.025)
    return Confidence(low, high, often.mean(axis=0), null.mean(), quantile)


def _of(scores: Scores, values: Array) -> Scores:
    """The same scores with one number for each edge."""
    return Scores(
        values, scores.graph, scores.method, scores.ablation, scores.objective
    )


def _interval(values, counts, mean, level):
    """Student's interval of a mean over the examples that count."""
    number = counts.sum()
    shape = (-1, *(1,) * (values.ndim - 1))
    squares = jnp.square(values - mean[None]) * counts.reshape(shape)
    variance = squares.sum(axis=0) / (number - 1)
    width = student(number - 1, level) * jnp.sqrt(variance / number)
    return mean - width, mean + width
