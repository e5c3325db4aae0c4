"""What each head would say about tokens that it attends to, by its weights alone."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ...models import Transformer, unembed


def of_each_head(
    model: Transformer,
    stream: Float[Array, "*row d_model"],
    read: Callable[[Float[Array, "*row d_vocab"]], PyTree],
) -> PyTree:
    """What is read off the logits that every head would write about some streams.

    A head that attends to nothing else than a place with the stream x adds

        unembed(norm(x) W_V W_O) - unembed(0)

    to the logits, the biases of its values included, with the final norm of what it
    writes by itself. Heads are taken one after the other, so that a large vocabulary
    is held once.

    Args:
        model: The model.
        stream: Streams that are attended to.
        read: Logits that a head adds -> a tree of arrays.

    Returns:
        What was read, with leading axes layer and head.
    """
    group = model.config.n_heads // model.config.sizes.n_kv_heads
    nothing = unembed(model, jnp.zeros_like(stream))

    def layer(block):
        normed = stream if block.ln1 is None else block.ln1(stream)
        values = jnp.repeat(block.attn.projected("v", normed), group, axis=-2)

        def head(of):
            value, W_O = of
            result = value @ W_O
            if block.ln1_post is not None:
                # Its divisor is that of all heads together, and positive.
                one = jnp.ones((*(1,) * result.ndim,), result.dtype)
                result = block.ln1_post.held(result, one)
            return read(unembed(model, result) - nothing)

        return jax.lax.map(head, (jnp.moveaxis(values, -2, 0), block.attn.W_O))

    with jax.default_matmul_precision("highest"):
        return jax.lax.map(layer, model.blocks)
