"""Which edges belong to a circuit, told by their scores."""

import math
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
    scores: Scores,
    n: int | Int[Array, ""],
    *,
    connected: bool = False,
    signed: bool = False,
    across_spans: bool = False,
) -> Bool[Array, "*axes source destination"]:
    """The `n` edges with the largest scores.

    Nothing makes them a connected circuit: `pruned` removes what leads nowhere, and
    `greedy` grows a circuit from the logits. Of equal scores the earlier edge is taken.

    Args:
        scores: Scores, of which those that tell examples apart are averaged.
        n: How many; may be traced.
        connected: Remove what has no way from the embedding or to the logits, which
            leaves fewer edges.
        signed: Take those whose corruption lowers the objective the most, and not those
            with the largest absolute change.
        across_spans: Scores are told apart by span, and `n` is for all spans together;
            otherwise each span has its own top `n`.

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
    n_spans = math.prod(scores.mean.shape[-3:-2]) if across_spans else 1
    check_count(n, scores.graph, n_spans)
    kept = ranks(scores, signed=signed, across_spans=across_spans) < n
    return pruned(kept, scores.graph) if connected else kept


def ranks(
    scores: Scores, *, signed: bool = False, across_spans: bool = False
) -> Int[Array, "*axes source destination"]:
    """The place of every edge, from 0 for the largest score.

    Pairs that are no edges come after all edges, so that `ranks(scores) < n` is the top
    `n` for a whole family of sizes at once.

    Args:
        scores: Scores.
        signed: Order by how far corruption lowers the objective, not by size.
        across_spans: Scores are told apart by span, and edges of all spans have one
            order; otherwise each span has its own.

    Raises:
        ValueError: a score is not finite.
    """
    values = scores.mean
    _check_finite(values)
    strength = -values if signed else jnp.abs(values)
    places = tuple(scores.graph.edges.T)
    by_edge = strength[..., *places]
    lines = by_edge.reshape(*by_edge.shape[:-2], -1) if across_spans else by_edge
    # Stable, so of equal scores the earlier edge comes first. Only edges are sorted.
    order = jnp.argsort(-lines, axis=-1, stable=True)
    # The place of the edge that comes i-th is i: the order, turned inside out.
    counted = jnp.broadcast_to(jnp.arange(order.shape[-1]), order.shape)
    zeros = jnp.zeros_like(order)
    rank = jnp.put_along_axis(zeros, order, counted, axis=-1, inplace=False)
    after_all = jnp.full(values.shape, order.shape[-1])
    return after_all.at[..., *places].set(rank.reshape(by_edge.shape))


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
    scores: Scores, n: int | Int[Array, ""], *, signed: bool = False
) -> Bool[Array, "*axes source destination"]:
    """`n` edges grown from the logits, each the best that leads to what is there.

    An edge may be taken once something that its destination computes is read by the
    circuit. So every edge has a way to the logits, but not every source a way from the
    embedding: `pruned` removes those.

    Args:
        scores: Scores.
        n: How many; may be traced.
        signed: As for `top`.

    Returns:
        The edges.

    Raises:
        ValueError: as `top`.
    """
    check_count(n, scores.graph)
    return growth(scores, n, signed=signed) < n


def growth(
    scores: Scores, n: int | Int[Array, ""] | None = None, *, signed: bool = False
) -> Int[Array, "*axes source destination"]:
    """When each edge is taken as a circuit grows from the logits, from 0 for the first.

    `growth(scores) < n` is `greedy(scores, n)` for a whole family of sizes at once.
    Pairs that are no edges, and edges that are not taken, come after all edges.

    Args:
        scores: Scores.
        n: After how many edges growth ends; all by default.
        signed: As for `top`.

    Raises:
        ValueError: a score is not finite.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.circuits import Scores, graph, growth
        >>> from jaxcirc.models import TransformerConfig
        >>> small = graph(TransformerConfig(d_vocab=9, n_ctx=8, n_layers=1, n_heads=2))
        >>> values = jnp.zeros((3, 7)).at[0, 4].set(9.0).at[1, 6].set(1.0)
        >>> scores = Scores(values, small, "eap", "resample", "LogitDifference")
        >>> when = growth(scores)
        >>> int(when[1, 6]), int(when[0, 4])  # A head, then its value input.
        (0, 1)
    """
    graph = scores.graph
    n = graph.n_edges if n is None else n
    grow = lambda rank: grown(rank, graph, n)
    order = ranks(scores, signed=signed)
    for _ in range(order.ndim - 2):
        grow = jax.vmap(grow)
    return grow(order)


def grown(
    rank: Int[Array, "source destination"], graph: Graph, n: int | Int[Array, ""]
) -> Int[Array, "source destination"]:
    """When each edge is taken if the one of lowest rank that leads on is next.

    Args:
        rank: A number for each edge, the best the lowest.
        graph: Whose edges.
        n: How many are taken.
    """
    exists, serves = jnp.asarray(graph.exists), jnp.asarray(graph.serves)
    # Known while compiling, where XLA would take seconds to find the same.
    logits = jnp.asarray(~graph.serves.any(axis=1))

    def add(i, state):
        when, open_to = state
        # Edges into what is open and not there yet, the best of them first.
        free = exists & open_to[None, :] & (when == graph.n_edges)
        best = jnp.argmin(jnp.where(free, rank, rank.size))
        s, d = jnp.unravel_index(best, rank.shape)
        some = free.any()
        when = when.at[s, d].set(jnp.where(some, i, when[s, d]))
        return when, open_to | (some & serves[:, s])

    start = (jnp.full(exists.shape, graph.n_edges), logits)
    return jax.lax.fori_loop(0, n, add, start)[0]


def nested(
    scores: Scores,
    sizes: Sequence[int | float] = SHARES,
    *,
    connected: bool = False,
    grow: bool = False,
    signed: bool = False,
) -> Bool[Array, "size *axes source destination"]:
    """Circuits of growing size, each inside the next.

    Args:
        scores: Scores.
        sizes: Numbers of edges, or, as fractions up to 1.0, shares of all edges; at
            least one edge each. By default the ten shares at which MIB looks.
        connected: Remove what has no way from the embedding or to the logits, which
            leaves fewer edges.
        grow: Grow from the logits, as `greedy` does, in place of taking the top.
        signed: As for `top`.

    Raises:
        ValueError: as `top`.
    """
    counts = [edge_count(size, scores.graph) for size in sizes]
    if grow:
        rank = growth(scores, max(counts), signed=signed)
    else:
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
        check_count(int(size), graph)
        return int(size)
    if not 0 < size <= 1:
        raise ValueError(
            f"nested: a share of all edges must be in (0, 1]; got {size}. A number of "
            "edges is given as a whole number."
        )
    return max(1, round(size * graph.n_edges))


def check_count(n: int | Int[Array, ""], graph: Graph, n_spans: int = 1) -> None:
    """Refuse more edges than there are, where their number is known.

    Args:
        n: How many are asked for.
        graph: Whose edges.
        n_spans: How often each is there.

    Raises:
        ValueError: `n` is negative or above the number of edges.
    """
    most = graph.n_edges * n_spans
    if not isinstance(n, Tracer) and not 0 <= int(n) <= most:
        raise ValueError(
            f"circuits: asked for {int(n)} edges, and this graph has {most}. "
            "Give a number from 0 up to that."
        )


def _check_finite(values: Array) -> None:
    if not isinstance(values, Tracer) and not jnp.isfinite(values).all():
        number = int((~jnp.isfinite(values)).sum())
        raise ValueError(
            f"circuits: {number} scores are not finite, so edges have no order. The "
            "model or the objective has diverged on some examples."
        )
