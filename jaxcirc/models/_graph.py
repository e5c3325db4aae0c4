"""The graph of a model: which part reads what which other part has written."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Bool, Int

from ._config import TransformerConfig


# Not a module: its arrays are facts about a config, known while programs are compiled.
@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """Every source and every destination of the residual stream, and their edges.

    Sources write into the stream: the embedding, each head and each MLP. Destinations
    read from it: the query, key and value input of the heads, the input of each MLP and
    that of the logits. Both are in order of computation, layer by layer. Whatever there
    is for each edge (a score, a mask, an effect) is an array [source, destination],
    with nothing to say where `exists` is False. Graphs with the same edges are equal.

    Args:
        sources: Their names: `embed`, `L0H0`, …, `L0.mlp`, `L1H0`, …; after `embed`
            comes `pos_embed` where positions are a source of their own.
        destinations: Their names: `L0H0.q`, …, `L0H0.k`, …, `L0H0.v`, …, `L0.mlp`, …,
            `logits`. A key head that serves a group of query heads is `L0G0.k`.
        exists: Which pairs are edges: the destination comes after the source.
        serves: Which sources compute with what a destination reads: the key input of a
            group serves the heads of that group, the logits serve none.
        source_layer: Layer of each source; -1 for embeddings.
        destination_layer: Layer of each destination; the number of layers for logits.
    """

    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    exists: Bool[np.ndarray, "source destination"]
    serves: Bool[np.ndarray, "destination source"]
    source_layer: Int[np.ndarray, " source"]
    destination_layer: Int[np.ndarray, " destination"]

    @functools.cached_property
    def _known(self) -> tuple:
        arrays = (self.exists, self.serves)
        return (self.sources, self.destinations, *(a.tobytes() for a in arrays))

    def __eq__(self, other: object) -> bool:
        """Whether both have the same sources, destinations and edges."""
        if not isinstance(other, Graph):
            return NotImplemented
        return self is other or self._known == other._known

    def __hash__(self) -> int:
        """Equal graphs have equal hashes."""
        return hash(self._known)

    @property
    def n_edges(self) -> int:
        """How many edges there are."""
        return int(self.exists.sum())

    @property
    def names(self) -> list[str]:
        """What each edge is called, `L0H1->L1H0.k`, in the order of `edges`."""
        return [
            f"{self.sources[s]}->{self.destinations[d]}" for s, d in self.edges.tolist()
        ]

    @property
    def edges(self) -> Int[np.ndarray, "edge two"]:
        """The place of the source and of the destination of each edge, row by row."""
        return np.argwhere(self.exists)


@functools.lru_cache(maxsize=64)
def graph(
    config: TransformerConfig, *, grouped: bool = True, positions: bool = False
) -> Graph:
    """The computational graph of a model at the grain of heads and MLPs.

    With L layers of H heads, K key heads and an MLP there are 1 + L (H + 1) sources,
    L (H + 2 K + 1) + 1 destinations, and

        Σ_l [ (H + 2 K) (1 + l (H + 1)) + 1 + l (H + 1) + H ] + 1 + L (H + 1)

    edges, l = 0 … L - 1; where attention and MLP are side by side, an MLP does not read
    the heads of its own layer, and the last H in the bracket falls away.

    Args:
        config: The model's config.
        grouped: Key and value inputs belong to key heads, of which there are fewer than
            query heads where these share them. If False, there is one for each query
            head, as tools count that have no groups; nothing else can be measured with
            more than that, since a group has one key.
        positions: Whether learned positions are a source of their own; otherwise they
            are part of `embed`.

    Returns:
        The graph, whose arrays are NumPy's.

    Raises:
        ValueError: the model normalises its residual stream in place
            (`norm_position="stream"`), so that it is no sum of what was written; or
            positions are to be a source and the model has learned none.

    Example:
        >>> from jaxcirc.models import TransformerConfig, graph
        >>> small = graph(TransformerConfig(d_vocab=9, n_ctx=8, n_layers=1, n_heads=2))
        >>> small.names[:3], small.names[-1], small.n_edges
        (['embed->L0H0.q', 'embed->L0H1.q', 'embed->L0H0.k'], 'L0H1->logits', 9)
        >>> small.exists.shape
        (3, 7)
    """
    c = config
    if c.norm_position == "stream":
        raise ValueError(
            "graph: with norm_position='stream' the residual stream is normalised in "
            "place, so it is not the sum of what heads and MLPs write, and there are "
            "no edges to cut."
        )
    if positions and c.positions != "learned":
        raise ValueError(
            f"graph: `positions` makes a source of learned positions, and this model "
            f"has positions={c.positions!r}. Leave it out."
        )
    sources, ready, source_layer = _sources(c, positions)
    destinations, reads, destination_layer = _destinations(c, grouped)
    exists = ready[:, None] <= reads[None, :]
    serves = _serves(sources, destinations)
    layers = (source_layer, destination_layer)
    for array in (exists, serves, *layers):
        array.flags.writeable = False  # Shared by all who ask for the same graph.
    return Graph(sources, destinations, exists, serves, *layers)


# A layer takes two moments: attention reads in the first, an MLP in the second. What
# was written may be read from a certain moment on, so one comparison finds all edges.


def _sources(
    c: TransformerConfig, positions: bool
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    names = ["embed", "pos_embed"] if positions else ["embed"]
    ready, layers = [0] * len(names), [-1] * len(names)
    for layer in range(c.n_layers):
        names += [f"L{layer}H{head}" for head in range(c.n_heads)]
        ready += [2 * layer + (2 if c.parallel else 1)] * c.n_heads
        if c.sizes.d_mlp:
            names.append(f"L{layer}.mlp")
            ready.append(2 * layer + 2)
        layers += [layer] * (c.n_heads + bool(c.sizes.d_mlp))
    return tuple(names), np.array(ready), np.array(layers)


def _destinations(
    c: TransformerConfig, grouped: bool
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    n_keys = c.sizes.n_kv_heads if grouped else c.n_heads
    letter = "H" if n_keys == c.n_heads else "G"
    names, reads, layers = [], [], []
    for layer in range(c.n_layers):
        inputs = [f"L{layer}H{head}.q" for head in range(c.n_heads)]
        inputs += [f"L{layer}{letter}{i}.{x}" for x in "kv" for i in range(n_keys)]
        names += inputs
        reads += [2 * layer] * len(inputs)
        layers += [layer] * len(inputs)
        if c.sizes.d_mlp:
            names.append(f"L{layer}.mlp")
            reads.append(2 * layer + 1)
            layers.append(layer)
    # The logits read after the last layer.
    reads, layers = [*reads, 2 * c.n_layers], [*layers, c.n_layers]
    return (*names, "logits"), np.array(reads), np.array(layers)


def _serves(sources: tuple[str, ...], destinations: tuple[str, ...]) -> np.ndarray:
    """Which sources compute with each destination, told by their names."""
    place = {name: index for index, name in enumerate(sources)}
    serves = np.zeros((len(destinations), len(sources)), bool)
    for row, name in enumerate(destinations):
        node = name.split(".")[0] if name[-2:] in (".q", ".k", ".v") else name
        if "G" not in node:
            serves[row, [place[node]] if node in place else []] = True
            continue
        layer, group = node.split("G")
        heads = [s for s in sources if s.startswith(f"{layer}H")]
        groups = sum(d.startswith(f"{layer}G") for d in destinations) // 2
        size = len(heads) // groups
        first = int(group) * size
        serves[row, [place[h] for h in heads[first : first + size]]] = True
    return serves
