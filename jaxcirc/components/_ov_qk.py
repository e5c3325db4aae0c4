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

    A head that attends to x alone adds x W_V W_O to the residual stream, biases aside
    (Elhage et al. 2021, "OV circuit"). The rank is at most d_head. Heads that share a
    value head (grouped-query attention) each have their own product. A change of basis
    within the head, W_V A and A⁻¹ W_O, leaves the product as it is.

    Args:
        model: Whose heads; of its own type, and multiplied out in float32 or wider.

    Returns:
        The factors; `dense` multiplies them out.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> ov(model).dense().shape, ov(model).singular_values().shape
        ((1, 2, 4, 4), (1, 2, 2))
    """
    attn = model.blocks.attn
    return Factored(_per_head(attn.W_V, model), attn.W_O)


def qk(model: Transformer, *, offset: int = 0) -> Factored:
    """What every head attends by: W_Q W_Kᵀ, [layer, head, d_model, d_model].

    With rotary positions the product depends on how far back the key lies: queries are
    turned by `offset` (Su et al. 2021). Without them `offset` changes nothing. Score
    scale, soft caps, biases and norms of queries and keys are left out. The rank is at
    most d_head.

    Args:
        model: The model whose heads are asked for.
        offset: Positions from key to query; 0 is a position itself.

    Returns:
        The factors; `dense` multiplies them out. Rows are queries, columns are keys.

    Raises:
        ValueError: a negative offset.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> qk(model).left.shape, qk(model).right.shape
        ((1, 2, 4, 2), (1, 2, 2, 4))
    """
    attn = model.blocks.attn
    queries = rotary_turn(model.config, _heads_first(attn.W_Q), offset)
    keys = _per_head(attn.W_K, model)
    return Factored(queries, jnp.swapaxes(keys, -1, -2))


def ov_velocity(model: Transformer, gradient: Transformer) -> Factored:
    """How fast W_V W_O moves under gradient flow: -(dW_V W_O + W_V dW_O).

    The product rule, with both weights moving against their gradients at a rate of 1.
    The rank is at most 2 d_head. With grouped-query attention dW_V is the sum over the
    heads of a group, so they move together. Adaptive optimisers move elsewhere.

    Args:
        model: The weights.
        gradient: Gradients of the loss, in the structure of the model.

    Returns:
        [layer, head, d_model, d_model] as factors, in the loss's units per weight.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> shrinking = ov_velocity(model, model)  # the gradient of |w|² / 2 is w
        >>> round(float((shrinking.dense() / ov(model).dense()).mean()), 3)
        -2.0
    """
    attn, d_attn = widened((model.blocks.attn, gradient.blocks.attn))
    # Side by side and one above the other: the sum of two products as a single one.
    left = [-_per_head(d_attn.W_V, model), -_per_head(attn.W_V, model)]
    right = [attn.W_O, d_attn.W_O]
    return Factored(jnp.concatenate(left, axis=-1), jnp.concatenate(right, axis=-2))


def _heads_first(x: Array) -> Array:
    return jnp.swapaxes(x, 1, 2)


def _per_head(x: Float[Array, "layer d_model kv_head d_head"], model: Transformer):
    """One matrix for every query head, [layer, head, d_model, d_head]."""
    group = model.config.n_heads // model.config.sizes.n_kv_heads
    return jnp.repeat(_heads_first(x), group, axis=1)
