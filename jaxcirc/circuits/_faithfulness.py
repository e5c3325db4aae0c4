"""How much of a behaviour circuits keep."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, Key, Shaped

from ..models import Graph, Transformer, graph as graph_of
from ..tasks import Pairs
from ._ablation import AbstractAblation
from ._choose import check_count, grown
from ._run import Performance, performance


class Faithfulness(eqx.Module):
    """What circuits keep of a behaviour, beside all edges and none.

    Args:
        sizes: Edges of each circuit; with spans, an edge counts once for every span in
            which it is kept.
        values: Mean of the objective of each circuit, m(C).
        full: With all edges, m(N): the model itself.
        none: With none, m(∅): everything is put in place.
        ablation: What cut edges carry.
        performance: The same, pair by pair, with `full` and `none` as last rows.
    """

    sizes: Int[Array, " circuit"]
    values: Float[Array, " circuit"]
    full: Float[Array, ""]
    none: Float[Array, ""]
    ablation: str = eqx.field(static=True)
    performance: Performance

    @property
    def normalised(self) -> Float[Array, " circuit"]:
        """(m(C) - m(∅)) / (m(N) - m(∅)): 1 for all edges, 0 for none, exactly.

        The faithfulness of MIB (Mueller et al. 2025). It may leave [0, 1], and says
        little where the model itself hardly differs from nothing.
        """
        # One after the other: divided all at once, by the inverse of the whole, all
        # edges would keep 0.9999999 of it.
        share = lambda value: (value - self.none) / (self.full - self.none)
        return jax.lax.map(share, self.values)

    @property
    def error(self) -> Float[Array, " circuit"]:
        """Standard error of `normalised`, over draws of the pairs.

        A ratio of two means of the same pairs: by its linearisation, the error of the
        mean of (c - none) - f (full - none) over pairs, in units of m(N) - m(∅). Where
        that difference is itself hardly told from 0, so is every share of it.
        """
        values, counts = self.performance
        weights = counts.astype(values.dtype)
        number = weights.sum()
        full, none = values[-2], values[-1]
        share = self.normalised[:, None]
        off = (values[:-2] - none[None]) - share * (full - none)[None]
        variance = (jnp.square(off) * weights[None]).sum(axis=1) / (number - 1)
        return jnp.sqrt(variance / number) / jnp.abs(self.full - self.none)

    @property
    def told(self) -> Float[Array, ""]:
        """How many standard errors m(N) is away from m(∅), over draws of the pairs.

        Below about 3 there is no behaviour that a circuit could keep.
        """
        values, counts = self.performance
        weights = counts.astype(values.dtype)
        number = weights.sum()
        gap = values[-2] - values[-1]
        mean = (gap * weights).sum() / number
        variance = (jnp.square(gap - mean) * weights).sum() / (number - 1)
        error = jnp.sqrt(variance / number)
        return jnp.abs(mean) / jnp.where(error > 0, error, jnp.inf)

    @property
    def ratio(self) -> Float[Array, " circuit"]:
        """m(C) / m(N), which is not 0 for no edges: as in Tigges et al. (2024)."""
        return self.values / self.full

    def cpr(self, n_edges: int) -> Float[Array, ""]:
        """Circuit performance ratio: the area under `normalised` by share of edges.

        Trapezoids from the smallest to the largest circuit, over shares of all edges
        (MIB); higher is better, and it may exceed 1. Circuits are meant to be chosen by
        signed scores.

        Args:
            n_edges: All edges of the graph; with spans, times their number.
        """
        return _area(self.normalised, self.sizes, n_edges)

    def cmd(self, n_edges: int) -> Float[Array, ""]:
        """Circuit-model distance: the area under |1 - `normalised`|; 0 is best (MIB).

        Args:
            n_edges: All edges of the graph; with spans, times their number.
        """
        return _area(jnp.abs(1 - self.normalised), self.sizes, n_edges)


def faithfulness(
    model: Transformer,
    pairs: Pairs,
    circuits: Shaped[Array, "circuit *span source destination"],
    *,
    ablation: str | AbstractAblation = "resample",
    **options,
) -> Faithfulness:
    """How much of the objective circuits keep: a whole curve in one program.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences, with right and wrong answers.
        circuits: Masks, such as those of `nested`.
        ablation: What cut edges carry.
        **options: `objective`, `graph`, `spans` and `batch_size`, as for `performance`.

    Raises:
        ValueError: as `performance`.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import circuits
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from jaxcirc.tasks import Induction
        >>> config = TransformerConfig(d_vocab=8, n_ctx=9, n_layers=1, n_heads=2)
        >>> model = Transformer(config, key=jr.key(0))
        >>> pairs = circuits.pairs(Induction(7, 9, 3, 4), 4, key=jr.key(1))
        >>> ends = jnp.stack([jnp.zeros((3, 7)), jnp.ones((3, 7))])
        >>> circuits.faithfulness(model, pairs, ends).normalised.tolist() == [0, 1]
        True
    """
    ends = jnp.stack([jnp.ones(circuits.shape[1:]), jnp.zeros(circuits.shape[1:])])
    masks = jnp.concatenate([circuits.astype(jnp.float32), ends])
    found = performance(model, pairs, masks, ablation=ablation, **options)
    mean = found.mean
    name = ablation if isinstance(ablation, str) else ablation.name
    graph = options.get("graph") or graph_of(model.config)
    there = (masks[:-2] != 0) & jnp.broadcast_to(graph.exists, masks[:-2].shape)
    sizes = there.sum(axis=tuple(range(1, there.ndim)))
    return Faithfulness(sizes, mean[:-2], mean[-2], mean[-1], name, found)


def _area(values: Array, sizes: Array, n_edges: int) -> Array:
    share = sizes.astype(values.dtype) / n_edges
    return jnp.trapezoid(values, share)


def random_circuits(
    graph: Graph,
    sizes: Int[Array, " circuit"],
    *,
    connected: bool = False,
    key: Key[Array, ""],
) -> Shaped[Array, "circuit source destination"]:
    """Circuits of random edges: what a circuit of a size keeps by chance.

    Args:
        graph: Whose edges.
        sizes: How many edges each has; may be traced.
        connected: Grow them from the logits, as `greedy` does, each next edge being any
            that leads to what is there; otherwise all sets of edges are equally likely,
            of which small ones hardly ever lead anywhere.
        key: Random key of the draw.

    Raises:
        ValueError: a size is negative or above the number of edges.
    """
    if not isinstance(sizes, Tracer):
        for size in set(np.asarray(sizes).tolist()):
            check_count(size, graph)
    exists = jnp.asarray(graph.exists).ravel()

    def one(size, key):
        draw = jax.random.uniform(key, exists.shape)
        order = jnp.argsort(jnp.where(exists, draw, 2))
        rank = jnp.argsort(order).reshape(graph.exists.shape)
        return (grown(rank, graph, size) if connected else rank) < size

    return jax.vmap(one)(sizes, jax.random.split(key, sizes.shape[0]))


class Smallest(NamedTuple):
    """The smallest of some circuits that keeps enough.

    Args:
        keep: Its edges; all edges of the graph where none was enough.
        size: How many there are.
        faithfulness: What it keeps, normalised.
        place: Which of the circuits it was; their number where none was enough.
    """

    keep: Shaped[Array, "source destination"]
    size: Int[Array, ""]
    faithfulness: Float[Array, ""]
    place: Int[Array, ""]


def smallest(
    found: Faithfulness,
    circuits: Shaped[Array, "circuit source destination"],
    graph: Graph,
    at_least: float = 0.8,
) -> Smallest:
    """The smallest circuit of a family that keeps enough, larger ones or not.

    The curve need not rise: a circuit may be enough and a larger one not. Each of the
    family was run, and the smallest that is enough is taken; sizes in between were not.

    Args:
        found: What they keep.
        circuits: The family.
        graph: Their graph.
        at_least: Normalised faithfulness that is enough.
    """
    enough = found.normalised >= at_least
    sizes = jnp.where(enough, found.sizes, graph.n_edges + 1)
    place = jnp.where(enough.any(), jnp.argmin(sizes), circuits.shape[0])
    rows = jnp.concatenate([circuits.astype(bool), jnp.asarray(graph.exists)[None]])
    kept = jnp.append(found.normalised, 1.0)
    size = jnp.append(found.sizes, graph.n_edges)
    return Smallest(rows[place], size[place], kept[place], place)
