"""Which nodes a circuit keeps, and how they are chosen."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Int, Key, Shaped

from ._dictionaries import Dictionaries
from ._effects import Effects

ERROR = "error"


class Node(NamedTuple):
    """A feature of a place, or what its dictionary leaves over.

    Args:
        place: Name of the place.
        feature: Number of the feature; -1 for the error.
        pos: Position; None where a node is the same at all of them.
    """

    place: str
    feature: int
    pos: int | None

    @property
    def name(self) -> str:
        """`PLACE/FEATURE` or `PLACE/error`, with `@POS` where it has a position."""
        own = ERROR if self.feature < 0 else str(self.feature)
        at = "" if self.pos is None else f"@{self.pos}"
        return f"{self.place}/{own}{at}"


class FeatureCircuit(eqx.Module):
    """Nodes that are kept, while all others are put in place.

    Masks of many circuits are one such object with a leading axis `circuit`.

    Args:
        keep: Site -> which nodes are kept, [*circuit, layer, pos, node]; the last node
            is the error, and `pos` has one entry where nodes are alike at all.
        dictionaries: Whose nodes these are.
    """

    keep: dict[str, Bool[Array, "*circuit layer pos node"]]
    dictionaries: Dictionaries

    @property
    def size(self) -> Int[Array, "*circuit"]:
        """How many nodes are kept, for each circuit."""
        counts = [x.sum(axis=(-3, -2, -1)) for x in self.keep.values()]
        return jnp.stack(counts).sum(axis=0)

    @property
    def nodes(self) -> list[Node]:
        """The nodes that are kept, in the order of computation.

        Raises:
            ValueError: this is more than one circuit.
        """
        found = []
        for place in self.dictionaries.places:
            keep = np.asarray(self.keep[place.site])
            if keep.ndim != 3:
                raise ValueError(
                    f"FeatureCircuit.nodes: these are {keep.shape[:-3]} circuits; "
                    "index them first: circuits[0].nodes."
                )
            one = keep[place.row]
            for pos, node in zip(*np.nonzero(one), strict=True):
                feature = -1 if node == one.shape[-1] - 1 else int(node)
                at = None if len(one) == 1 else int(pos)
                found.append(Node(place.name, feature, at))
        return found

    def __getitem__(self, index) -> "FeatureCircuit":
        """One circuit, or some, of many.

        Args:
            index: Along the axis `circuit`.
        """
        kept = {site: x[index] for site, x in self.keep.items()}
        return FeatureCircuit(kept, self.dictionaries)

    def complement(self) -> "FeatureCircuit":
        """Every node that this circuit leaves out."""
        there = {site: x[:, None, None] for site, x in self.dictionaries.here.items()}
        rest = lambda x, here: ~x & jnp.broadcast_to(here, x.shape)
        kept = {site: rest(x, there[site]) for site, x in self.keep.items()}
        return FeatureCircuit(kept, self.dictionaries)


def top(effects: Effects, n: int | Shaped[Array, "*circuit"]) -> FeatureCircuit:
    """The nodes of the largest absolute mean effect.

    Nodes that have no effect at all are not chosen, so there may be fewer than `n`.

    Args:
        effects: Effects of all nodes.
        n: How many; several make nested circuits. May be traced.

    Raises:
        ValueError: `n` is negative.
    """
    if not isinstance(n, Tracer) and np.any(np.asarray(n) < 0):
        raise ValueError(f"top: `n` must not be negative; got {n}.")
    return _by_rank(effects, {s: jnp.abs(x) for s, x in effects.mean.items()}, n)


def above(effects: Effects, threshold: float) -> FeatureCircuit:
    """The nodes whose absolute mean effect exceeds a threshold.

    Args:
        effects: Effects of all nodes.
        threshold: In units of the objective; any number, such as 0.1.

    Raises:
        ValueError: the threshold is negative or no number.
    """
    if not threshold >= 0:
        raise ValueError(f"above: `threshold` must be at least 0; got {threshold}.")
    mean = effects.mean
    kept = {site: jnp.abs(x) > threshold for site, x in mean.items()}
    return FeatureCircuit(kept, effects.dictionaries)


def random_nodes(
    effects: Effects, n: int | Int[Array, ""], number: int, *, key: Key[Array, ""]
) -> FeatureCircuit:
    """Circuits of random nodes out of those that have an effect: what size alone does.

    Args:
        effects: Effects of all nodes.
        n: Nodes of each circuit.
        number: How many circuits.
        key: Random key.
    """
    mean = effects.mean

    def one(key):
        keys = dict(zip(mean, jax.random.split(key, len(mean)), strict=True))
        drawn = {
            site: jnp.where(x != 0, jax.random.uniform(keys[site], x.shape) + 1, 0)
            for site, x in mean.items()
        }
        return _by_rank(effects, drawn, n).keep

    kept = jax.lax.map(one, jax.random.split(key, number))
    return FeatureCircuit(kept, effects.dictionaries)


def _by_rank(effects, sizes, n) -> FeatureCircuit:
    """The `n` largest of all sites together, without those that are 0."""
    flat = jnp.concatenate([x.ravel() for x in sizes.values()])
    ranks = jnp.zeros(flat.size, int).at[jnp.argsort(-flat)].set(jnp.arange(flat.size))
    ranks = jnp.where(flat > 0, ranks, flat.size)
    n = jnp.asarray(n)[..., None]
    chosen = ranks.reshape(*(1,) * (n.ndim - 1), -1) < n
    kept, start = {}, 0
    for site, x in sizes.items():
        part = chosen[..., start : start + x.size]
        kept[site] = part.reshape(*part.shape[:-1], *x.shape)
        start += x.size
    return FeatureCircuit(kept, effects.dictionaries)
