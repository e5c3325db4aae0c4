"""The MLP, plain or gated."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key

from .._core import normal
from ._config import TransformerConfig
from ._linear import linear
from ._tape import Tape

ACTIVATIONS = {
    # Not `jax.nn.relu`: its custom derivative rule stops Taylor-mode differentiation.
    "relu": lambda x: jnp.maximum(x, 0),
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "gelu_tanh": lambda x: jax.nn.gelu(x, approximate=True),
    "silu": lambda x: x * jax.nn.sigmoid(x),
}


class MLP(eqx.Module):
    """`W_out(act(W_in x))`, or `W_out(act(W_gate x) * W_in x)` when gated."""

    W_in: Float[Array, "d_model d_mlp"]
    W_gate: Float[Array, "d_model d_mlp"] | None
    W_out: Float[Array, "d_mlp d_model"]
    b_in: Float[Array, " d_mlp"] | None
    b_out: Float[Array, " d_model"] | None
    activation: str = eqx.field(static=True)

    def __init__(self, config: TransformerConfig, *, key: Key[Array, ""]):
        c, s = config, config.sizes
        # Three keys with or without a gate: a gate changes no other weight's draw.
        in_key, gate_key, out_key = jr.split(key, 3)
        self.W_in = s.init_std * normal(in_key, (c.d_model, s.d_mlp))
        self.W_out = s.init_std * normal(out_key, (s.d_mlp, c.d_model))
        self.W_gate = (
            s.init_std * normal(gate_key, (c.d_model, s.d_mlp)) if c.gated else None
        )
        self.b_in = jnp.zeros(s.d_mlp) if c.mlp_bias else None
        self.b_out = jnp.zeros(c.d_model) if c.mlp_bias else None
        self.activation = c.activation

    def __call__(
        self, x: Float[Array, "*batch d_model"], tape: Tape
    ) -> Float[Array, "*batch d_model"]:
        """What the MLP computes from its normalised input."""
        act = ACTIVATIONS[self.activation]
        if self.W_gate is None:
            hidden = act(tape("mlp.pre", linear(x, self.W_in, self.b_in)))
        else:
            gate = tape("mlp.pre", linear(x, self.W_gate))
            hidden = act(gate) * tape("mlp.pre_linear", linear(x, self.W_in, self.b_in))
        return linear(tape("mlp.post", hidden), self.W_out, self.b_out)
