"""LayerNorm, with and without parameters, and the two RMSNorms."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from .._core import at_least_float32
from ._config import TransformerConfig
from ._tape import Tape

Kind = Literal["layer", "layer_nonparametric", "rms", "rms_plus_one"]


class Norm(eqx.Module):
    """Normalise the last axis, in float32 whatever the input's type.

    `rms` casts back before multiplying by its weight and `rms_plus_one` after, as the
    Llama and Gemma families do; in float32 the order makes no difference.
    """

    weight: Float[Array, " d_model"] | None
    bias: Float[Array, " d_model"] | None
    kind: Kind = eqx.field(static=True)
    eps: float = eqx.field(static=True)

    def __init__(self, kind: Kind, size: int, eps: float):
        self.kind, self.eps = kind, eps
        # Either way the norm begins by multiplying with 1.
        start = jnp.zeros if kind == "rms_plus_one" else jnp.ones
        self.weight = None if kind == "layer_nonparametric" else start(size)
        self.bias = jnp.zeros(size) if kind == "layer" else None

    def __call__(
        self,
        x: Float[Array, "*batch d_model"],
        tape: Tape | None = None,
        name: str = "",
    ) -> Float[Array, "*batch d_model"]:
        """`x` normalised, times the weight and plus the bias where there are any.

        Args:
            x: Vectors in the last axis.
            tape: Hears of the divisor (`NAME.scale`) and of what it leaves
                (`NAME.normalized`), and may change both; nobody does if None.
            name: What the norm is called there.
        """
        tape = Tape() if tape is None else tape
        wide = at_least_float32(x)
        if self.kind.startswith("layer"):
            wide = wide - wide.mean(axis=-1, keepdims=True)
        mean_square = jnp.square(wide).mean(axis=-1, keepdims=True)
        # A place of its own: with the divisor held, the rest is linear in the input.
        scale = tape(f"{name}.scale", jnp.sqrt(mean_square + self.eps))
        y = wide / scale
        if self.weight is None:
            return tape(f"{name}.normalized", y.astype(x.dtype))
        weight = lax.expand_dims(self.weight, range(x.ndim - 1))
        if self.kind == "rms_plus_one":
            y = (y * (1 + weight.astype(y.dtype))).astype(x.dtype)
        else:
            y = y.astype(x.dtype) * weight
        if self.bias is not None:
            y = y + lax.expand_dims(self.bias, range(x.ndim - 1))
        return tape(f"{name}.normalized", y)

    def held(
        self, x: Float[Array, "*batch d_model"], scale: Float[Array, "..."]
    ) -> Float[Array, "*batch d_model"]:
        """What a piece of the input adds to the output while the divisor is held.

        With its divisor given, a norm without its bias is linear: the shares of the
        pieces of a sum add up to the norm of the sum, less the bias.

        Args:
            x: A piece of the input.
            scale: The divisor, as `NAME.scale` records it for the whole input; its axes
                broadcast to those of `x`.
        """
        wide = at_least_float32(x)
        if self.kind.startswith("layer"):
            wide = wide - wide.mean(axis=-1, keepdims=True)
        y = wide / scale
        if self.weight is not None:
            weight = lax.expand_dims(self.weight, range(x.ndim - 1)).astype(y.dtype)
            y = y * (weight + 1 if self.kind == "rms_plus_one" else weight)
        return y.astype(x.dtype)


def make_norm(config: TransformerConfig) -> Norm | None:
    """A norm of the residual stream, if the model has any."""
    if config.norm == "none":
        return None
    return Norm(config.norm, config.d_model, config.norm_eps)
