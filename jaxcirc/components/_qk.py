"""The `qk` component: what every head attends by."""

import equinox as eqx

from ..models import TransformerConfig
from ._component import (
    AbstractComponent,
    ComponentSpec,
    Data,
    Needs,
    Observed,
    check_options,
)
from ._ov_qk import qk
from ._part import Part


class QK(AbstractComponent):
    """W_Q W_Kᵀ of every head, by which it attends; see `qk`.

    Attributes:
        offset: Positions from key to query, which matter with rotary ones.
        layers: Only these layers; None for all.
    """

    offset: int = eqx.field(static=True)
    layers: tuple[int, ...] | None = eqx.field(static=True)
    name: str = eqx.field(static=True, default="qk")
    data: Data = eqx.field(static=True, default="weights")

    @property
    def label(self) -> str:
        """`qk`, with the offset if there is one."""
        return f"{self.name}-{self.offset}" if self.offset else self.name

    def needs(self, config: TransformerConfig) -> Needs:
        """Nothing but the model, whose weights are at hand."""
        del config
        return Needs()

    def parts(self, seen: Observed) -> dict[str, Part]:
        """One part with axes layer and head, factored."""
        product = qk(seen.model, offset=self.offset)
        return {self.label: Part(product, ("layer", "head"), self.data)}


def build(
    config: TransformerConfig,
    *,
    data: Data = "weights",
    heads: bool = True,
    offset: int = 0,
    layers: tuple[int, ...] | None = None,
) -> QK:
    """The component of what every head attends by.

    Args:
        config: The model's config.
        data: Weights, which is all that there is.
        heads: Has no effect: heads are always taken one by one.
        offset: Positions from key to query.
        layers: Only these layers.

    Raises:
        ValueError: the model has no such layer, or other data are asked for.
    """
    # An option that all components share: it must not be an error to say what is so.
    del heads
    check_options("qk", config, data=data, has=("weights",), layers=layers)
    return QK(offset=offset, layers=layers)


SPEC = ComponentSpec(
    name="qk", summary="W_Q W_Kᵀ of every head, at an offset of positions", build=build
)
