"""Rotary position embedding (Su et al. 2021), whole or partial, in both pairings."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def inverse_frequencies(rotary_dim: int, base: float) -> np.ndarray:
    """Angle per position of each rotated pair: base ** (-2 i / rotary_dim)."""
    return base ** (-np.arange(0, rotary_dim, 2, dtype=np.float64) / rotary_dim)


def rotate(
    x: Float[Array, "*batch pos head d_head"],
    inv_freq: Float[Array, " pair"],
    pairing: Literal["half", "interleaved"],
) -> Float[Array, "*batch pos head d_head"]:
    """Turn the first 2·`pair` dimensions of each head by position × frequency.

    Angles are computed in float32, since bfloat16 positions collide beyond 256.
    """
    n_pos, n_pairs = x.shape[-3], inv_freq.shape[0]
    angle = jnp.arange(n_pos, dtype=jnp.float32)[:, None] * inv_freq[None, :]
    shape = (1,) * (x.ndim - 3) + (n_pos, 1, n_pairs)
    cos = jnp.cos(angle).reshape(shape).astype(x.dtype)
    sin = jnp.sin(angle).reshape(shape).astype(x.dtype)
    turned, rest = x[..., : 2 * n_pairs], x[..., 2 * n_pairs :]
    if pairing == "half":
        a, b = turned[..., :n_pairs], turned[..., n_pairs:]
    else:
        a, b = turned[..., 0::2], turned[..., 1::2]
    new_a, new_b = a * cos - b * sin, b * cos + a * sin
    if pairing == "half":
        turned = jnp.concatenate([new_a, new_b], axis=-1)
    else:
        turned = jnp.stack([new_a, new_b], axis=-1).reshape(turned.shape)
    return jnp.concatenate([turned, rest], axis=-1) if rest.shape[-1] else turned
