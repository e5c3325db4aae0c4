"""What attention needs besides its weights: score scale, window, rotary angles.

Whatever is the same in all layers is shared, and only what differs is scanned over. So
the rolled loop and the written-out one see the same constants, and round alike.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._config import TransformerConfig

FULL_WINDOW = 2**30


class Past(NamedTuple):
    """Keys and values of earlier positions, with room for those to come.

    Args:
        k: Keys, as scores need them.
        v: Values.
        start: Position of the first token that is new.
    """

    k: Float[Array, "*batch pos kv_head d_head"]
    v: Float[Array, "*batch pos kv_head d_head"]
    start: Int[Array, ""]

    def extended(self, k: Array, v: Array) -> "Past":
        """With the new positions' keys and values in their place."""
        axis = self.k.ndim - 3
        put = jax.lax.dynamic_update_slice_in_dim
        return Past(
            put(self.k, k, self.start, axis),
            put(self.v, v, self.start, axis),
            self.start,
        )


class LayerConstants(NamedTuple):
    """Numbers that are not parameters, for one layer; None where there are none."""

    scale: float | Float[Array, "..."] | None = None
    window: int | Int[Array, "..."] | None = None
    cos: Float[Array, "... pos pair"] | None = None
    sin: Float[Array, "... pos pair"] | None = None
    past: Past | None = None


def layer_constants(
    config: TransformerConfig, n_pos: int
) -> tuple[LayerConstants, LayerConstants]:
    """Constants that all layers share, and those with a leading `layer` axis.

    Between them they hold every field that the config uses exactly once.

    Args:
        config: The model's config.
        n_pos: Positions of the sequences that it is run on.
    """
    c = config
    shared, varying = LayerConstants(), LayerConstants()
    if c.scale_by_inverse_layer:
        depth = np.arange(1, c.n_layers + 1, dtype=np.float32)
        varying = varying._replace(scale=jnp.asarray(c.sizes.attention_scale / depth))
    else:
        shared = shared._replace(scale=c.sizes.attention_scale)
    # A window of None among others must be a number too: all layers share one program.
    if isinstance(c.window, tuple):
        reach = [FULL_WINDOW if r is None else r for r in c.window]
        varying = varying._replace(window=jnp.asarray(np.array(reach, np.int32)))
    else:
        shared = shared._replace(window=c.window)
    if c.positions == "rotary":
        cos, sin = _rotary_tables(c, n_pos)
        if cos.ndim == 3:
            varying = varying._replace(cos=cos, sin=sin)
        else:
            shared = shared._replace(cos=cos, sin=sin)
    return shared, varying


def _rotary_tables(config: TransformerConfig, n_pos: int) -> tuple[Array, Array]:
    """Cosine and sine of position × frequency for each pair; by layer if they differ.

    In float32: bfloat16 positions collide beyond 256.
    """
    # Powers in float64 on the host, and only then rounded: the position multiplies
    # whatever error a frequency has.
    frequency = jnp.asarray(_frequencies(config).astype(np.float32))
    positions = jnp.arange(n_pos, dtype=jnp.float32)
    angle = frequency[..., None, :] * jnp.expand_dims(
        positions, (*range(frequency.ndim - 1), -1)
    )
    return jnp.cos(angle), jnp.sin(angle)


def _frequencies(c: TransformerConfig) -> np.ndarray:
    """Radians per position: base ** (-2 i / rotary_dim) for each pair i, stretched."""
    powers = -np.arange(0, c.sizes.rotary_dim, 2, dtype=np.float64) / c.sizes.rotary_dim
    base = np.asarray(c.rotary_base, np.float64)[..., None]
    frequency = base**powers / np.asarray(c.rotary_factor, np.float64)[..., None]
    scaling = c.rotary_llama3
    if scaling is None:
        return frequency
    turns = scaling.n_ctx * frequency / (2 * np.pi)
    short = np.clip((turns - scaling.low) / (scaling.high - scaling.low), 0, 1)
    return frequency * (short + (1 - short) / scaling.factor)
