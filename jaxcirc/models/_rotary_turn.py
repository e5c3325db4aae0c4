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
    turn the queries. Models without rotary positions get `x` back.

    Raises:
        ValueError: a negative offset: no causal query sees its key's future.
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
