"""What a head writes and what it attends by, as factored matrices.

Rows are vectors of the residual stream: a head reads x and writes x W_V W_O, and its
score of a query and a key is x_query W_Q W_Kᵀ x_keyᵀ, before scaling.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import widened
from ..models import Transformer, rotary_turn
from ._factored import Factored


def ov(model: Transformer) -> Factored:
    """What every head writes when it attends: W_V W_O, [layer, head, d_model, d_model].

    Heads that share a value head (grouped-query attention) each have their own product
    (Elhage et al. 2021).
    """
    attn = model.blocks.attn
    return Factored(_per_head(attn.W_V, model), attn.W_O)


def qk(model: Transformer, *, offset: int = 0) -> Factored:
    """What every head attends by: W_Q W_Kᵀ, [layer, head, d_model, d_model].

    With rotary positions the product depends on how far back the key lies: queries are
    turned by `offset` (Su et al. 2021). Without them `offset` changes nothing. Score
    scale and soft caps are left out.

    Args:
        model: Whose heads.
        offset: Positions from key to query; 0 is a position itself.
    """
    attn = model.blocks.attn
    queries = rotary_turn(model.config, _heads_first(attn.W_Q), offset)
    keys = _per_head(attn.W_K, model)
    return Factored(queries, jnp.swapaxes(keys, -1, -2))


def ov_velocity(model: Transformer, gradient: Transformer) -> Factored:
    """How fast W_V W_O moves under gradient flow: -(dW_V W_O + W_V dW_O).

    Of rank at most 2 d_head. With grouped-query attention dW_V is the sum over the
    heads of a group, so they move together.

    Args:
        model: The weights.
        gradient: Gradients of the loss, in the structure of the model.
    """
    attn, d_attn = widened((model.blocks.attn, gradient.blocks.attn))
    left = [-_per_head(d_attn.W_V, model), -_per_head(attn.W_V, model)]
    right = [attn.W_O, d_attn.W_O]
    return Factored(jnp.concatenate(left, axis=-1), jnp.concatenate(right, axis=-2))


def _heads_first(x: Array) -> Array:
    return jnp.swapaxes(x, 1, 2)


def _per_head(x: Float[Array, "layer d_model kv_head d_head"], model: Transformer):
    """One matrix for every query head, [layer, head, d_model, d_head]."""
    group = model.config.n_heads // model.config.sizes.n_kv_heads
    return jnp.repeat(_heads_first(x), group, axis=1)
