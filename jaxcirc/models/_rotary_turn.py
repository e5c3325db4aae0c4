"""Rotary positions as a turn of weights: what an offset does to a head's queries."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._config import TransformerConfig
from ._constants import layer_constants
from ._rotary import rotate


def rotary_turn(
    config: TransformerConfig,
    x: Float[Array, "layer head d_model d_head"],
    offset: int,
) -> Float[Array, "layer head d_model d_head"]:
    """Queries of every head, turned as by a key that lies `offset` positions back.

    q_i turned by i times k_j turned by j depends on i - j alone, so it is enough to
    turn the queries (Su et al. 2021). Lengths stay as they are. Models without rotary
    positions get `x` back; with a fraction of each head rotated, the rest stays.

    Args:
        config: The model's config, which says what turns together, and how fast.
        x: Weights of queries, whose last axis is turned.
        offset: Positions from key to query, at least 0.

    Returns:
        The turned weights; `x` itself, to rounding, at an offset of 0.

    Raises:
        ValueError: a negative offset, since a causal query sees no later key.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.models import TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=8, n_layers=1, d_model=2, n_heads=1, positions="rotary"
        ... )
        >>> turned = rotary_turn(config, jnp.eye(2)[None, None], 1)  # by one radian
        >>> [round(x, 4) for x in turned[0, 0, 0].tolist()]  # cos 1, sin 1
        [0.5403, 0.8415]
    """
    if offset < 0:
        raise ValueError(f"rotary_turn: `offset` must be at least 0; got {offset}.")
    if config.positions != "rotary":
        return x
    shared, varying = layer_constants(config, offset + 1)
    cos = varying.cos if shared.cos is None else shared.cos[None]
    sin = varying.sin if shared.sin is None else shared.sin[None]
    assert cos is not None
    assert sin is not None
    shape = (config.n_layers, 1, cos.shape[-1])
    cos, sin = (jnp.broadcast_to(t[:, offset:], shape) for t in (cos, sin))

    def layer(x: Array, cos: Array, sin: Array) -> Array:
        # Rows of the residual stream are a batch of vectors at one position.
        rows = jnp.swapaxes(x, 0, 1)[:, None]
        return jnp.swapaxes(rotate(rows, cos, sin, config.rotary_pairing)[:, 0], 0, 1)

    return jax.vmap(layer)(x, cos, sin)
