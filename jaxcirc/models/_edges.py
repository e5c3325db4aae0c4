"""The edges of a model: which part may read what which other part has written."""

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._config import TransformerConfig


class Edges(NamedTuple):
    """Every pair of a writer and a reader of the residual stream, in one table.

    Writers are the embedding (with learned positions), each head and each MLP. Readers
    are the query, key and value input of each head, the input of each MLP and that of
    the logits. Both are in order of computation, layer by layer; an edge is a pair in
    which the reader comes after the writer.

    Args:
        writers: Their names: `embed`, `L0H0`, …, `L0.mlp`, `L1H0`, …
        readers: Their names: `L0H0.q`, …, `L0H0.k`, …, `L0H0.v`, …, `L0.mlp`, …,
            `logits`.
        writer: Place of each edge's writer in `writers`.
        reader: Place of each edge's reader in `readers`.
        writer_layer: Layer of each edge's writer; -1 for the embedding.
        reader_layer: Layer of each edge's reader; the number of layers for the logits.
    """

    writers: tuple[str, ...]
    readers: tuple[str, ...]
    writer: Int[np.ndarray, " edge"]
    reader: Int[np.ndarray, " edge"]
    writer_layer: Int[np.ndarray, " edge"]
    reader_layer: Int[np.ndarray, " edge"]

    @property
    def names(self) -> list[str]:
        """What each edge is called: `L0H1->L1H0.k`."""
        pairs = zip(self.writer.tolist(), self.reader.tolist(), strict=True)
        return [f"{self.writers[w]}->{self.readers[r]}" for w, r in pairs]

    def matrix(self, values: Array, fill: float = 0.0) -> Float[Array, "writer reader"]:
        """Values of all edges as a matrix, with `fill` where there is no edge.

        Args:
            values: One for each edge.
            fill: What stands for the pairs that are none.
        """
        shape = (len(self.writers), len(self.readers))
        empty = jnp.full(shape, fill, values.dtype)
        return empty.at[self.writer, self.reader].set(values)


@functools.lru_cache(maxsize=64)
def edges(config: TransformerConfig) -> Edges:
    """The edges of a model: its computational graph at the grain of heads and MLPs.

    With L layers of H heads and an MLP there are 1 + L (H + 1) writers,
    L (3 H + 1) + 1 readers, and

        Σ_l [ 3 H (1 + l (H + 1)) + 1 + l (H + 1) + H ] + 1 + L (H + 1)

    edges, l = 0 … L - 1; where attention and MLP are side by side, an MLP does not read
    the heads of its own layer, and the last H in the bracket falls away. With grouped
    heads, keys and values are read once for each query head.

    Args:
        config: The model's config.

    Returns:
        The table, whose arrays are NumPy's.

    Raises:
        ValueError: the model normalises its residual stream in place
            (`norm_position="stream"`), so that it is no sum of what was written.

    Example:
        >>> from jaxcirc.models import TransformerConfig, edges
        >>> table = edges(TransformerConfig(d_vocab=9, n_ctx=8, n_layers=1, n_heads=2))
        >>> table.names[:3], table.names[-1], len(table.names)
        (['embed->L0H0.q', 'embed->L0H1.q', 'embed->L0H0.k'], 'L0H1->logits', 9)
    """
    c = config
    if c.norm_position == "stream":
        raise ValueError(
            "edges: with norm_position='stream' the residual stream is normalised in "
            "place, so it is not the sum of what heads and MLPs write, and there are "
            "no edges to cut."
        )
    writers, ready, writer_layer = _writers(c)
    readers, reads, reader_layer = _readers(c)
    writer, reader = np.nonzero(ready[:, None] <= reads[None, :])
    return Edges(
        writers,
        readers,
        writer,
        reader,
        writer_layer[writer],
        reader_layer[reader],
    )


# A layer takes two moments: attention reads in the first, an MLP in the second. What
# was written may be read from a certain moment on, so one comparison finds all edges.


def _writers(c: TransformerConfig) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    names, ready, layers = ["embed"], [0], [-1]
    for layer in range(c.n_layers):
        names += [f"L{layer}H{head}" for head in range(c.n_heads)]
        ready += [2 * layer + (2 if c.parallel else 1)] * c.n_heads
        if c.sizes.d_mlp:
            names.append(f"L{layer}.mlp")
            ready.append(2 * layer + 2)
        layers += [layer] * (c.n_heads + bool(c.sizes.d_mlp))
    return tuple(names), np.array(ready), np.array(layers)


def _readers(c: TransformerConfig) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    names, reads, layers = [], [], []
    for layer in range(c.n_layers):
        names += [f"L{layer}H{head}.{x}" for x in "qkv" for head in range(c.n_heads)]
        reads += [2 * layer] * (3 * c.n_heads)
        if c.sizes.d_mlp:
            names.append(f"L{layer}.mlp")
            reads.append(2 * layer + 1)
        layers += [layer] * (3 * c.n_heads + bool(c.sizes.d_mlp))
    # The logits read after the last layer.
    reads, layers = [*reads, 2 * c.n_layers], [*layers, c.n_layers]
    return (*names, "logits"), np.array(reads), np.array(layers)
