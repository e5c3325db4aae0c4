"""How alike two circuits or two sets of scores are."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from ..models import Graph


def jaccard(
    a: Shaped[Array, "source destination"], b: Shaped[Array, "source destination"]
) -> Float[Array, ""]:
    """Edges in both over edges in either; in [0, 1], and 1 for two empty circuits.

    Args:
        a: A circuit.
        b: Another.

    Example:
        >>> import jax.numpy as jnp
        >>> a, b = jnp.array([[1, 1, 0]]), jnp.array([[0, 1, 1]])
        >>> round(float(jaccard(a, b)), 4)
        0.3333
    """
    a, b = a.astype(bool), b.astype(bool)
    either = (a | b).sum().astype(jnp.float32)
    both = (a & b).sum().astype(jnp.float32)
    return jnp.where(either > 0, both / jnp.where(either > 0, either, 1), 1.0)


def weighted_jaccard(
    a: Float[Array, "source destination"], b: Float[Array, "source destination"]
) -> Float[Array, ""]:
    """Σ min(|a|, |b|) / Σ max(|a|, |b|) of scores: no threshold, and in [0, 1].

    Scores that differ by a factor differ by it here, as they do where a behaviour has
    grown; 1 for scores that are all 0.

    Args:
        a: Scores.
        b: Others.
    """
    a, b = jnp.abs(a), jnp.abs(b)
    most = jnp.maximum(a, b).sum()
    least = jnp.minimum(a, b).sum()
    return jnp.where(most > 0, least / jnp.where(most > 0, most, 1), 1.0)


def rank_correlation(
    a: Float[Array, "source destination"],
    b: Float[Array, "source destination"],
    graph: Graph,
) -> Float[Array, ""]:
    """Spearman's correlation of the sizes of scores over all edges; in [-1, 1].

    Equal scores share the mean of their ranks. NaN where all scores of one are equal.

    Args:
        a: Scores.
        b: Others.
        graph: Whose edges.
    """
    places = tuple(graph.edges.T)
    ranks = [_mean_ranks(jnp.abs(x[places])) for x in (a, b)]
    x, y = (r - r.mean() for r in ranks)
    size = jnp.sqrt((x * x).sum() * (y * y).sum())
    return jnp.where(size > 0, (x * y).sum() / jnp.where(size > 0, size, 1), jnp.nan)


def _mean_ranks(x: Array) -> Array:
    ordered = jnp.sort(x)
    below = jnp.searchsorted(ordered, x, side="left")
    upto = jnp.searchsorted(ordered, x, side="right")
    return (below + upto).astype(jnp.float32) / 2


class Edits(NamedTuple):
    """What turns one circuit into another.

    Args:
        added: Edges of the second that the first lacks.
        deleted: Edges of the first that the second lacks.
    """

    added: Int[Array, ""]
    deleted: Int[Array, ""]

    @property
    def distance(self) -> Int[Array, ""]:
        """The graph edit distance: all edges that are added or deleted."""
        return self.added + self.deleted


def edits(
    a: Shaped[Array, "source destination"], b: Shaped[Array, "source destination"]
) -> Edits:
    """Edges that are added and deleted on the way from one circuit to another.

    Args:
        a: The first.
        b: The second.
    """
    a, b = a.astype(bool), b.astype(bool)
    return Edits((b & ~a).sum(), (a & ~b).sum())


def running_mean(
    series: Float[Array, " step"], weight: float = 0.5
) -> Float[Array, " step"]:
    """An exponentially weighted mean over steps, without a bias at the start.

    Each value is a weighted mean of what there was so far, with weights that fall by
    `1 - weight` from step to step and add up to 1; values that are not finite count
    nothing. One that starts from 0 instead shows a rise where there is none.

    Args:
        series: Values in order.
        weight: What the newest counts, in (0, 1].

    Example:
        >>> import jax.numpy as jnp
        >>> running_mean(jnp.array([2.0, 2.0, 2.0])).tolist()
        [2.0, 2.0, 2.0]
    """

    def step(state, value):
        total, weights = state
        known = jnp.isfinite(value)
        total = jnp.where(known, (1 - weight) * total + weight * value, total)
        weights = jnp.where(known, (1 - weight) * weights + weight, weights)
        mean = jnp.where(
            weights > 0, total / jnp.where(weights > 0, weights, 1), jnp.nan
        )
        return (total, weights), mean

    zero = jnp.zeros((), series.dtype)
    return jax.lax.scan(step, (zero, zero), series)[1]
