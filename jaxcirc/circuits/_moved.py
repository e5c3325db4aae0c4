"""Runs in which sources write something else, for all that read them."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models import Add, Graph, TransformerConfig


def moved(
    config: TransformerConfig,
    graph: Graph,
    differences: Float[Array, "source example pos d_model"],
    share: Float[Array, "run source"],
) -> tuple[Add, ...]:
    """Edits that add a share of its difference to what each source writes.

    A source with share 1 writes what is put in its place and one with share 0 what it
    computes, as long as no source before it has moved. What it writes is added up by
    the stream, so heads of a layer are moved together behind attention.

    Args:
        config: Of the model that will run.
        graph: Whose sources these are.
        differences: What is put in place minus what the clean run writes.
        share: How far each source is moved in each of several runs.

    Returns:
        Edits of the runs as one batch: all examples of the first run, then of the next.
    """
    first = int((graph.source_layer < 0).sum())
    n_heads, n_layers = config.n_heads, config.n_layers
    example = differences.shape[1:]

    def by_layer(x: Array) -> Array:
        rest = x[first:]
        return rest.reshape(n_layers, len(rest) // n_layers, *x.shape[1:])

    embed = jnp.einsum("rs,sbpm->rbpm", share[:, :first], differences[:first])
    shares, layers = by_layer(share.T), by_layer(differences)
    attn = jnp.einsum("lhr,lhbpm->lrbpm", shares[:, :n_heads], layers[:, :n_heads])
    flat = (-1, *example[1:])
    edits = (
        Add("embed", embed.reshape(flat)),
        Add("attn.out", attn.reshape(n_layers, *flat)),
    )
    if not config.sizes.d_mlp:
        return edits
    mlp = jnp.einsum("lr,lbpm->lrbpm", shares[:, n_heads], layers[:, n_heads])
    return (*edits, Add("mlp.out", mlp.reshape(n_layers, *flat)))
