"""A test of whether every edge of a circuit is needed."""

from typing import NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, Key, Shaped

from ..models import Graph, Transformer, graph as graph_of
from ..tasks import Pairs
from ._binomial import at_most
from ._run import performance


class Minimality(NamedTuple):
    """What the edges of a circuit do, beside what an edge that is not needed does.

    Args:
        effects: What the objective changes by when an edge of the circuit is cut too,
            the mean of its absolute change over pairs; NaN outside of the circuit.
        reference: The same for random edges that were added and cut again.
        p_values: The chance of such a small effect for an edge that is needed; NaN
            outside of the circuit.
    """

    effects: Float[Array, "source destination"]
    reference: Float[Array, " random"]
    p_values: Float[Array, "source destination"]

    @property
    def adjusted(self) -> Float[Array, "source destination"]:
        """P-values times the number of edges, at most 1 (Bonferroni).

        One that is small speaks against the whole circuit, of which every edge was
        tested.
        """
        number = jnp.isfinite(self.p_values).sum().astype(self.p_values.dtype)
        return jnp.minimum(self.p_values * number, 1)


def minimality(
    model: Transformer,
    pairs: Pairs,
    keep: Shaped[Array, "source destination"],
    *,
    n_random: int = 100,
    quantile: float = 0.9,
    graph: Graph | None = None,
    key: Key[Array, ""],
    **options,
) -> Minimality:
    """Test, for every edge of a circuit, whether it does more than a superfluous one.

    An edge's effect is the mean over pairs of |m(C without it) - m(C)|. It is compared
    with `n_random` superfluous edges: each is drawn from the edges outside the circuit,
    is added with a random way from an embedding through it to the logits, and is then
    cut for itself. The hypothesis about an edge is that its effect is larger than that
    of a superfluous edge with a chance of at least `quantile`; with t of n smaller, its
    p-value is the chance of at most t out of n at that chance. A small p-value says
    that the edge is not needed, so that the circuit is not minimal; see `adjusted`
    before many edges are judged at once.

    All circuits are one program, of 1 + edges + 2 · `n_random` forward passes. Not for
    use under `jit`, since their number depends on the circuit.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        keep: The circuit.
        n_random: Superfluous edges that are drawn.
        quantile: How often an edge that is needed exceeds them at least, in (0, 1).
        graph: Whose edges these are; that of the model by default.
        key: Random key of the draw.
        **options: As for `performance`: `objective`, `ablation`, `batch_size`.

    Returns:
        Effects and p-values by source and destination.

    Raises:
        ValueError: the circuit has no edge, or all of them; `quantile` is outside
            (0, 1); or pairs and circuit do not fit.

    Shi et al. (2024), "Hypothesis testing the circuit hypothesis in LLMs".
    """
    table = graph_of(model.config) if graph is None else graph
    kept = _checked(keep, table, quantile)
    added, cut = _inflated(kept, table, n_random, key)
    edges = np.argwhere(kept)
    masks = np.concatenate([kept[None], _each_without(kept, edges), added, cut])
    found = performance(model, pairs, jnp.asarray(masks), graph=table, **options)
    n, values = len(edges), found.values
    change = lambda a, b: (
        jnp.abs(a - b).sum(axis=1) / found.counts.sum().astype(values.dtype)
    )
    effects = change(values[1 : 1 + n], values[:1])
    reference = change(values[1 + n : 1 + n + n_random], values[1 + n + n_random :])
    smaller = (reference[None, :] < effects[:, None]).sum(axis=1)
    p_values = at_most(smaller, jnp.asarray(n_random), quantile)
    by_edge = lambda x: jnp.full(kept.shape, jnp.nan).at[tuple(edges.T)].set(x)
    return Minimality(by_edge(effects), reference, by_edge(p_values))


def _checked(keep: Array, graph: Graph, quantile: float) -> np.ndarray:
    """The circuit, of which something is there and something is not."""
    if not 0 < quantile < 1:
        raise ValueError(f"minimality: `quantile` must be in (0, 1); got {quantile}.")
    if keep.shape != graph.exists.shape:
        raise ValueError(
            f"minimality: `keep` has shape {keep.shape}; the graph has "
            f"{len(graph.sources)} sources and {len(graph.destinations)} destinations."
        )
    kept = np.asarray(keep).astype(bool) & graph.exists
    if not kept.any() or (kept == graph.exists).all():
        raise ValueError(
            f"minimality: the circuit has {int(kept.sum())} of {graph.n_edges} edges. "
            "There must be some to cut, and others to compare them with."
        )
    return kept


def _each_without(kept: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The circuit without each of its edges."""
    masks = np.repeat(kept[None], len(edges), axis=0)
    masks[np.arange(len(edges)), *edges.T] = False
    return masks


def _inflated(
    kept: np.ndarray, graph: Graph, n: int, key: Key[Array, ""]
) -> tuple[np.ndarray, np.ndarray]:
    """The circuit with random ways through absent edges, and without these edges."""
    # Ways have different lengths, so they are drawn outside of compiled programs.
    random = np.random.default_rng(np.asarray(jr.key_data(key)))
    absent = np.argwhere(graph.exists & ~kept)
    edges = absent[random.integers(len(absent), size=n)]
    added = np.repeat(kept[None], n, axis=0)
    for mask, edge in zip(added, edges, strict=True):
        for place in way_through(graph, edge, random):
            mask[place] = True
    cut = added.copy()
    cut[np.arange(n), *edges.T] = False
    return added, cut


def way_through(
    graph: Graph, edge: Int[np.ndarray, " two"], random: np.random.Generator
) -> list[tuple[int, int]]:
    """The edges of a random way from an embedding through an edge to the logits.

    Args:
        graph: The graph.
        edge: The place of its source and of its destination.
        random: Where draws come from.
    """
    some = lambda which: int(random.choice(np.flatnonzero(which)))
    source, destination = edge.tolist()
    way = [(source, destination)]
    # Everything reads some embedding and is read by the logits, so both walks end.
    while graph.source_layer[source] >= 0:
        back = some(graph.serves[:, source])
        source = some(graph.exists[:, back])
        way.append((source, back))
    while graph.serves[destination].any():
        onward = some(graph.serves[destination])
        destination = some(graph.exists[onward])
        way.append((onward, destination))
    return way
