"""Pico Analyze's own definitions, for checking its published curves."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .._core import widened
from ..models import Transformer, TransformerConfig
from ._component import (
    ComponentSpec,
    Data,
    Needs,
    Observed,
    Position,
    label_of,
)
from ._head_products import AbstractHeadProduct, builder
from ._ov_qk import ov_velocity
from ._part import Part

# Our name -> the row that computes what Pico Analyze computes under its name for it.
PICO_METRICS = {"cka": "cka_biased"}
PICO_COMPONENTS = {"ov": "pico_ov"}


class PicoOV(AbstractHeadProduct):
    """The three products that Pico Analyze calls `ov_circuit`, of every head.

    Weights: W_O W_V, d_head × d_head, which has the eigenvalues of W_V W_O but not its
    singular values. Activations: the value at one position times W_O, before attention.
    Gradients: W_O dW_V + dW_O W_V, which is no gradient but minus the velocity of
    W_V W_O under gradient flow, transposed (pico-analyze, `ov_circuit`).

    Attributes:
        data: Weights, activations or gradients.
        position: Token position of activations, or `all`.
        layers: Only these layers; None for all.
    """

    data: Data = eqx.field(static=True)
    position: Position = eqx.field(static=True)
    layers: tuple[int, ...] | None = eqx.field(static=True)
    name: str = eqx.field(static=True, default="pico_ov")

    @property
    def label(self) -> str:
        """The label of `ov`, in whose place a study has it (`pico_compat`)."""
        return label_of("ov", self.data, self.position, usual="weights")

    def needs(self, config: TransformerConfig) -> Needs:
        """The values of heads, or gradients of weights; nothing for weights."""
        del config
        if self.data == "activations":
            return Needs(activations=("attn.v",))
        return Needs(weight_gradients=self.data == "gradients")

    def parts(self, seen: Observed) -> dict[str, Part]:
        """One part with axes layer, head, row and column."""
        if self.data == "weights":
            values = _product(seen.model)
        elif self.data == "activations":
            values = _values_out(seen.model, seen.activations["attn.v"], self.position)
        else:
            assert seen.weight_gradients is not None
            moving = ov_velocity(seen.model, seen.weight_gradients)
            # Theirs is written as output times value, and with the gradient's own sign.
            values = -jnp.swapaxes(moving.dense(), -1, -2)
        return {self.label: Part(values, ("layer", "head"), self.data)}


def _product(model: Transformer) -> Array:
    attn = widened(model.blocks.attn)
    # Every query head has a product of its own, also where several share a value head.
    W_V = jnp.repeat(jnp.swapaxes(attn.W_V, 1, 2), _group(model), axis=1)
    product = jnp.matmul(attn.W_O, W_V, precision="highest")
    return jnp.swapaxes(product, -1, -2)


def _values_out(model: Transformer, v: Array, position: Position) -> Array:
    v = v.reshape(len(v), -1, *v.shape[3:]) if position == "all" else v[:, :, position]
    v = jnp.repeat(jnp.swapaxes(widened(v), 1, 2), _group(model), axis=1)
    return jnp.matmul(v, widened(model.blocks.attn.W_O), precision="highest")


def _group(model: Transformer) -> int:
    return model.config.n_heads // model.config.sizes.n_kv_heads


SPEC = ComponentSpec(
    name="pico_ov",
    summary="what Pico Analyze calls `ov_circuit`, for checking its curves",
    build=builder("pico_ov", PicoOV),
)
