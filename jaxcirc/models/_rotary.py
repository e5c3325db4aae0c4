"""Rotary position embedding (Su et al. 2021), whole or partial, in both pairings."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float


def rotate(
    x: Float[Array, "*batch pos head d_head"],
    cos: Float[Array, "pos pair"],
    sin: Float[Array, "pos pair"],
    pairing: Literal["half", "interleaved"],
) -> Float[Array, "*batch pos head d_head"]:
    """Turn the first 2·`pair` dimensions of each head by the angle of its position.

    Args:
        x: Queries or keys, from the first position that the tables have.
        cos: Cosine of each pair's angle at each position.
        sin: Sine of the same angles.
        pairing: Which two dimensions turn together: `half` pairs the first half with
            the second, as Llama and GPT-NeoX do, `interleaved` each with its neighbour.
    """
    n_pos, n_pairs = cos.shape
    shape = (1,) * (x.ndim - 3) + (n_pos, 1, n_pairs)
    # In the type of `x`: tables are float32 and would widen all that follows.
    cos, sin = cos.reshape(shape).astype(x.dtype), sin.reshape(shape).astype(x.dtype)
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
