"""What attention needs besides its weights: score scale, window, rotary angles.

Whatever is the same in all layers is shared, and only what differs is scanned over. So
the rolled loop and the written-out one see the same constants, and round alike.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._config import TransformerConfig

FULL_WINDOW = 2**30


class LayerConstants(NamedTuple):
    """Numbers that are not parameters, for one layer; None where there are none."""

    scale: float | Float[Array, "..."] | None = None
    window: int | Int[Array, "..."] | None = None
    cos: Float[Array, "... pos pair"] | None = None
    sin: Float[Array, "... pos pair"] | None = None


def layer_constants(
    config: TransformerConfig, n_pos: int
) -> tuple[LayerConstants, LayerConstants]:
    """Constants that all layers share, and those with a leading `layer` axis.

    Between them they hold every field that the config uses exactly once.
    """
    c = config
    shared, varying = LayerConstants(), LayerConstants()
    if c.scale_by_inverse_layer:
        depth = np.arange(1, c.n_layers + 1, dtype=np.float32)
        varying = varying._replace(scale=jnp.asarray(c.attention_scale / depth))
    else:
        shared = shared._replace(scale=c.attention_scale)
    if isinstance(c.window, tuple):
        reach = [FULL_WINDOW if r is None else r for r in c.window]
        varying = varying._replace(window=jnp.asarray(np.array(reach, np.int32)))
    else:
        shared = shared._replace(window=c.window)
    if c.positions == "rotary":
        cos, sin = _rotary_tables(c.rotary_base, c.rotary_dim, n_pos)
        if isinstance(c.rotary_base, tuple):
            varying = varying._replace(cos=cos, sin=sin)
        else:
            shared = shared._replace(cos=cos, sin=sin)
    return shared, varying


def _rotary_tables(
    base: float | tuple[float, ...], rotary_dim: int, n_pos: int
) -> tuple[Array, Array]:
    """Cosine and sine of position × base ** (-2 i / rotary_dim) for each pair i.

    In float32: bfloat16 positions collide beyond 256.
    """
    powers = -np.arange(0, rotary_dim, 2, dtype=np.float64) / rotary_dim
    frequency = np.asarray(base, np.float64)[..., None] ** powers
    frequency = jnp.asarray(frequency.astype(np.float32))
    positions = jnp.arange(n_pos, dtype=jnp.float32)
    angle = frequency[..., None, :] * jnp.expand_dims(
        positions, (*range(frequency.ndim - 1), -1)
    )
    return jnp.cos(angle), jnp.sin(angle)
