"""What Pico Analyze computes under the name `ov_circuit`, for checking its curves."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array

from .._core import widened
from ..models import Transformer, capture
from ..tasks import Batch
from ._circuits import ov_velocity, weight_gradients


def pico_ov(
    model: Transformer, batch: Batch, data: str, position: int | Literal["all"]
) -> Array:
    """Its three products of every head, [layer, head, row, column].

    Weights: W_O W_V, d_head × d_head, which has the eigenvalues of W_V W_O but not its
    singular values. Activations: the value at one position times W_O, before attention.
    Gradients: W_O dW_V + dW_O W_V, which is no gradient but minus the velocity of
    W_V W_O under gradient flow, transposed (pico-analyze, `ov_circuit`).
    """
    attn = widened(model.blocks.attn)
    group = model.config.n_heads // model.config.sizes.n_kv_heads
    if data == "weights":
        W_V = jnp.repeat(jnp.swapaxes(attn.W_V, 1, 2), group, axis=1)
        product = jnp.matmul(attn.W_O, W_V, precision="highest")
        return jnp.swapaxes(product, -1, -2)
    if data == "gradients":
        moving = ov_velocity(model, weight_gradients(model, batch))
        return -jnp.swapaxes(moving.dense(), -1, -2)
    _, acts = capture(model, batch.tokens, ("attn.v",))
    v = acts["attn.v"]
    v = v.reshape(len(v), -1, *v.shape[3:]) if position == "all" else v[:, :, position]
    v = jnp.repeat(jnp.swapaxes(widened(v), 1, 2), group, axis=1)
    return jnp.matmul(v, attn.W_O, precision="highest")
