"""The `ov_velocity` component: how fast what heads write changes."""

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
from ._ov_qk import ov_velocity
from ._part import Part


class OVVelocity(AbstractComponent):
    """How W_V W_O of every head moves under gradient flow; see `ov_velocity`.

    Attributes:
        layers: Only these layers; None for all.
    """

    layers: tuple[int, ...] | None = eqx.field(static=True)
    name: str = eqx.field(static=True, default="ov_velocity")
    data: Data = eqx.field(static=True, default="weights")

    @property
    def label(self) -> str:
        """The name, since there is nothing unusual to say."""
        return self.name

    def needs(self, config: TransformerConfig) -> Needs:
        """The gradients of all weights, of the mean loss."""
        del config
        return Needs(weight_gradients=True)

    def parts(self, seen: Observed) -> dict[str, Part]:
        """One part with axes layer and head, factored."""
        assert seen.weight_gradients is not None
        product = ov_velocity(seen.model, seen.weight_gradients)
        return {self.label: Part(product, ("layer", "head"), self.data)}


def build(
    config: TransformerConfig,
    *,
    data: Data = "weights",
    heads: bool = True,
    layers: tuple[int, ...] | None = None,
) -> OVVelocity:
    """The component of how fast what heads write changes.

    Args:
        config: The model's config.
        data: Weights, which is all that there is.
        heads: Has no effect: heads are always taken one by one.
        layers: Only these layers.

    Raises:
        ValueError: the model has no such layer, or other data are asked for.
    """
    # An option that all components share: it must not be an error to say what is so.
    del heads
    check_options("ov_velocity", config, data=data, has=("weights",), layers=layers)
    return OVVelocity(layers=layers)


SPEC = ComponentSpec(
    name="ov_velocity",
    summary="how W_V W_O of every head moves under gradient flow",
    build=build,
)
