"""What sources write, as one array in the order of the graph."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import at_least_float32
from ..models import Graph, Written


def stacked(
    written: Written, graph: Graph
) -> Float[Array, "source *batch pos d_model"]:
    """What every source of a graph writes, in its order, in float32 or wider.

    Args:
        written: What the parts of a model write.
        graph: Its graph; without a source for positions, `embed` has them.
    """
    embed = at_least_float32(written.embed)
    first = [embed]
    if written.pos_embed is not None:
        pos = jnp.broadcast_to(at_least_float32(written.pos_embed), embed.shape)
        both = "pos_embed" in graph.sources
        first = [embed, pos] if both else [embed + pos]
    # Heads before positions and all else, beside the MLP of the same layer.
    parts = [at_least_float32(jnp.moveaxis(written.heads, -2, 1))]
    if written.mlps is not None:
        parts.append(at_least_float32(written.mlps)[:, None])
    layers = jnp.concatenate(parts, axis=1)
    return jnp.concatenate([jnp.stack(first), layers.reshape(-1, *embed.shape)])
