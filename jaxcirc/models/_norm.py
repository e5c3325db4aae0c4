"""LayerNorm and the two RMSNorms."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ._tape import Tape


class Norm(eqx.Module):
    """Normalise the last axis, in float32 whatever the input's type.

    `rms` casts back before multiplying by its weight and `rms_plus_one` after, as the
    Llama and Gemma families do; in float32 the order makes no difference.
    """

    weight: Float[Array, " d_model"]
    bias: Float[Array, " d_model"] | None
    kind: Literal["layer", "rms", "rms_plus_one"] = eqx.field(static=True)
    eps: float = eqx.field(static=True)

    def __init__(
        self, kind: Literal["layer", "rms", "rms_plus_one"], size: int, eps: float
    ):
        self.kind, self.eps = kind, eps
        self.weight = jnp.zeros(size) if kind == "rms_plus_one" else jnp.ones(size)
        self.bias = jnp.zeros(size) if kind == "layer" else None

    def __call__(
        self, x: Float[Array, "*batch d_model"], tape: Tape, name: str
    ) -> Float[Array, "*batch d_model"]:
        """Normalised `x`; the tape hears the divisor and what it left."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if self.kind == "layer":
            wide = wide - wide.mean(axis=-1, keepdims=True)
        mean_square = jnp.square(wide).mean(axis=-1, keepdims=True)
        scale = tape(f"{name}.scale", jnp.sqrt(mean_square + self.eps))
        y = wide / scale
        weight = lax.expand_dims(self.weight, range(x.ndim - 1))
        if self.kind == "rms_plus_one":
            y = (y * (1 + weight.astype(y.dtype))).astype(x.dtype)
        else:
            y = y.astype(x.dtype) * weight
        if self.bias is not None:
            y = y + lax.expand_dims(self.bias, range(x.ndim - 1))
        return tape(f"{name}.normalized", y)
