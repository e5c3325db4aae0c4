"""The `ov` component: what every head writes."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ..models import TransformerConfig
from ._component import (
    ComponentSpec,
    Data,
    Needs,
    Observed,
    Position,
    label_of,
)
from ._gradients import ov_gradient_matrices, ov_gradient_sites
from ._head_products import AbstractHeadProduct, builder
from ._ov_qk import ov
from ._part import Part


class OV(AbstractHeadProduct):
    """W_V W_O of every head, what each adds to the stream, or dL/d(W_V W_O).

    Attributes:
        data: Weights, activations (what the head adds to the residual stream, one row
            per example) or gradients.
        position: Token position of activations, or `all`.
        layers: Only these layers; None for all.
    """

    data: Data = eqx.field(static=True)
    position: Position = eqx.field(static=True)
    layers: tuple[int, ...] | None = eqx.field(static=True)
    name: str = eqx.field(static=True, default="ov")

    @property
    def label(self) -> str:
        """`ov`, with the kind of data and the position where they are not the usual."""
        return label_of(self.name, self.data, self.position, usual="weights")

    def needs(self, config: TransformerConfig) -> Needs:
        """What heads write, or the two factors of the gradient; nothing for weights."""
        if self.data == "activations":
            return Needs(activations=("attn.result",))
        if self.data == "gradients":
            # In float32 or wider, as the gradients that they are multiplied with.
            return Needs(
                wide_activations=ov_gradient_sites(config), result_gradients=True
            )
        return Needs()

    def parts(self, seen: Observed) -> dict[str, Part]:
        """One part with axes layer, head, row and column."""
        if self.data == "weights":
            values = ov(seen.model)
        elif self.data == "activations":
            values = written(seen.activations["attn.result"], self.position)
        else:
            assert seen.result_gradients is not None
            values = ov_gradient_matrices(
                seen.model.config, seen.wide_activations, seen.result_gradients
            )
        return {self.label: Part(values, ("layer", "head"), self.data)}


def written(result: Array, position: Position) -> Array:
    """[layer, example, pos, head, d_model] -> [layer, head, row, d_model].

    Args:
        result: What heads write.
        position: One token position, or `all` as further rows.
    """
    # Heads before examples: each head's rows are one matrix.
    x = jnp.moveaxis(result, 3, 1)
    if position == "all":
        return x.reshape(*x.shape[:2], -1, x.shape[-1])
    return x[:, :, :, position]


SPEC = ComponentSpec(
    name="ov",
    summary="W_V W_O of every head, what it writes, or the gradient of the product",
    build=builder("ov", OV),
)
