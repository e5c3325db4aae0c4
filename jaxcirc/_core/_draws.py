"""Random numbers whose programs compile quickly."""

import math

import jax.random as jr
from jax.typing import DTypeLike
from jaxtyping import Array, Key


def normal(
    key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = float
) -> Array:
    """Independent standard normal numbers: those of `jax.random.normal`, bit for bit.

    Drawn along one axis and reshaped: for several axes XLA unrolls the arithmetic of
    their indices on a CPU, and compiling takes four to five times as long, most of what
    it takes to compile the start of a small model.

    Args:
        key: Of the numbers.
        shape: Of the result.
        dtype: Of the result; JAX's float by default.
    """
    return jr.normal(key, (math.prod(shape),), dtype).reshape(shape)
