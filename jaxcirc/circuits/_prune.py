"""Dead ends: edges on no way from the embedding to the logits."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from ..models import Graph


def pruned(
    keep: Bool[Array, "*axes source destination"], graph: Graph
) -> Bool[Array, "*axes source destination"]:
    """The edges of a circuit that lie on a way from an embedding to the logits.

    An edge is removed if its source reads nothing (and is no embedding), or if nothing
    that its destination computes is read; then what depended on it, until nothing
    changes. Circuits that only differ by such edges may still compute differently,
    since a node without inputs runs on what is put in place.

    Args:
        keep: Circuits, with any leading axes.
        graph: Their graph.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.circuits import graph, pruned
        >>> from jaxcirc.models import TransformerConfig
        >>> small = graph(TransformerConfig(d_vocab=9, n_ctx=8, n_layers=1, n_heads=2))
        >>> keep = jnp.zeros((3, 7), bool).at[1, 6].set(True)  # A head reads nothing.
        >>> int(pruned(keep, small).sum())
        0
    """
    exists = jnp.broadcast_to(graph.exists, keep.shape)
    serves = jnp.asarray(graph.serves)
    embedding = jnp.asarray(graph.source_layer) < 0
    logits = jnp.asarray(~graph.serves.any(axis=1))

    def once(keep):
        fed = keep.any(axis=-2)
        # A source lives if some destination that serves it is fed, and the other way
        # round: a destination leads on if some source that it serves is read.
        alive = jnp.einsum("...d,ds->...s", fed, serves) | embedding_of(keep)
        read = keep.any(axis=-1)
        leads = jnp.einsum("...s,ds->...d", read, serves) | logits_of(keep)
        return keep & alive[..., :, None] & leads[..., None, :]

    embedding_of = lambda k: jnp.broadcast_to(embedding, k.shape[:-1])
    logits_of = lambda k: jnp.broadcast_to(logits, (*k.shape[:-2], k.shape[-1]))

    def changed(state):
        return state[1]

    def step(state):
        keep, _ = state
        less = once(keep)
        return less, (less != keep).any()

    return jax.lax.while_loop(changed, step, (keep & exists, jnp.array(True)))[0]
