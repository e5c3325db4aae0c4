"""Which edges belong to a circuit, told by their scores."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from ..models import Graph
from ._prune import pruned
from ._scores import Scores

# Shares of all edges at which MIB looks at a circuit.
SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def top(
    scores: Scores, n: int | Int[Array, ""], *, signed: bool = False
) -> Bool[Array, "*axes source destination"]:
    """The `n` edges with the largest scores.

    Nothing makes them a connected circuit: `pruned` removes what leads nowhere, and
    `greedy` grows a circuit from the logits. Of equal scores the earlier edge is taken.

    Args:
        scores: Scores, of which those that tell examples apart are averaged.
        n: How many; may be traced.
        signed: Take those whose corruption lowers the objective the most, and not those
            with the largest absolute change.

    Raises:
        ValueError: `n` is negative or above the number of edges, or a score is not
            finite.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.circuits import Scores, graph, top
        >>> from jaxcirc.models import TransformerConfig
        >>> small = graph(TransformerConfig(d_vocab=9, n_ctx=8, n_layers=1, n_heads=2))
        >>> values = jnp.where(small.exists, 1.0, 0.0).at[0, 6].set(-2.0)
        >>> scores = Scores(values, small, "eap", "resample", "LogitDifference")
        >>> bool(top(scores, 1)[0, 6])
        True
    """
    _check_count(n, scores.graph)
    return ranks(scores, signed=signed) < n


def ranks(
    scores: Scores, *, signed: bool = False
) -> Int[Array, "*axes source destination"]:
    """The place of every edge, from 0 for the largest score.

    Pairs that are no edges come after all edges, so that `ranks(scores) < n` is the top
    `n` for a whole family of sizes at once.

    Args:
        scores: Scores.
        signed: Order by how far corruption lowers the objective, not by size.

    Raises:
        ValueError: a score is not finite.
    """
    values = scores.mean
    _check_finite(values)
    strength = -values if signed else jnp.abs(values)
    exists = jnp.broadcast_to(scores.graph.exists, values.shape)
    flat = jnp.where(exists, strength, -jnp.inf).reshape(*values.shape[:-2], -1)
    # The place in the order of the order is the rank; stable, so ties are settled.
    order = jnp.argsort(-flat, axis=-1, stable=True)
    return jnp.argsort(order, axis=-1).reshape(values.shape)


def threshold(
    scores: Scores, at_least: float | Float[Array, ""]
) -> Bool[Array, "*axes source destination"]:
    """The edges whose score is at least so large.

    Args:
        scores: Scores.
        at_least: The smallest absolute score of an edge that stays.

    Raises:
        ValueError: a score is not finite.
    """
    values = scores.mean
    _check_finite(values)
    exists = jnp.broadcast_to(scores.graph.exists, values.shape)
    return exists & (jnp.abs(values) >= at_least)


def greedy(
    scores: Scores, n: int, *, signed: bool = False
) -> Bool[Array, "*axes source destination"]:
    """`n` edges grown from the logits, each the best that leads to what is there.

    An edge may be taken once something that its destination computes is read by the
    circuit. So every edge has a way to the logits, but not every source a way from the
    embedding: `pruned` removes those.

    Args:
        scores: Scores.
        n: How many; fewer where no more edges can be reached.
        signed: As for `top`.

    Returns:
        The edges.

    Raises:
        ValueError: as `top`.
    """
    _check_count(n, scores.graph)
    order = ranks(scores, signed=signed)
    grow = lambda rank: _grown(rank, scores.graph, n)
    for _ in range(order.ndim - 2):
        grow = jax.vmap(grow)
    return grow(order)


def _grown(rank: Array, graph: Graph, n: int) -> Array:
    exists, serves = jnp.asarray(graph.exists), jnp.asarray(graph.serves)
    logits = ~serves.any(axis=1)

    def add(_, state):
        kept, open_to = state
        # Edges into what is open and not there yet, the best of them first.
        free = exists & open_to[None, :] & ~kept
        best = jnp.argmin(jnp.where(free, rank, rank.size))
        s, d = jnp.unravel_index(best, rank.shape)
        some = free.any()
        kept = kept.at[s, d].set(kept[s, d] | some)
        return kept, open_to | (some & serves[:, s])

    start = (jnp.zeros_like(exists), logits)
    return jax.lax.fori_loop(0, n, add, start)[0]


def nested(
    scores: Scores,
    sizes: Sequence[int | float] = SHARES,
    *,
    connected: bool = False,
    signed: bool = False,
) -> Bool[Array, "size *axes source destination"]:
    """Circuits of growing size, each inside the next.

    Args:
        scores: Scores.
        sizes: Numbers of edges, or, as fractions up to 1.0, shares of all edges; at
            least one edge each. By default the ten shares at which MIB looks.
        connected: Remove what has no way from the embedding or to the logits.
        signed: As for `top`.

    Raises:
        ValueError: as `top`.
    """
    counts = [edge_count(size, scores.graph) for size in sizes]
    rank = ranks(scores, signed=signed)
    family = jnp.stack([rank < n for n in counts])
    return pruned(family, scores.graph) if connected else family


def edge_count(size: int | float, graph: Graph) -> int:
    """A number of edges that is given as itself or as a share of all.

    Args:
        size: A whole number, or a fraction in (0, 1].
        graph: Whose edges.

    Raises:
        ValueError: it is neither, or more than there are.
    """
    if isinstance(size, int | np.integer):
        _check_count(int(size), graph)
        return int(size)
    if not 0 < size <= 1:
        raise ValueError(
            f"nested: a share of all edges must be in (0, 1]; got {size}. A number of "
            "edges is given as a whole number."
        )
    return max(1, round(size * graph.n_edges))


def _check_count(n, graph: Graph) -> None:
    if isinstance(n, Tracer):
        return
    if not 0 <= int(n) <= graph.n_edges:
        raise ValueError(
            f"circuits: asked for {int(n)} edges, and this graph has {graph.n_edges}. "
            "Give a number from 0 up to that."
        )


def _check_finite(values: Array) -> None:
    if not isinstance(values, Tracer) and not jnp.isfinite(values).all():
        number = int((~jnp.isfinite(values)).sum())
        raise ValueError(
            f"circuits: {number} scores are not finite, so edges have no order. The "
            "model or the objective has diverged on some examples."
        )
