"""What components have in common that are a product of every head's matrices."""

from collections.abc import Callable
from typing import TypeVar

import equinox as eqx

from ..models import TransformerConfig
from ._component import (
    AbstractComponent,
    Data,
    Position,
    check_options,
    check_position,
)


class AbstractHeadProduct(AbstractComponent):
    """A product of every head, of weights, activations or gradients.

    Attributes:
        position: Token position of activations, or `all`.
    """

    position: eqx.AbstractVar[Position]

    def check_batch(self, length: int) -> None:
        """Refuse sequences that the position lies outside of."""
        if self.data != "weights":
            check_position(self.name, self.position, length, "sequences")


Made = TypeVar("Made", bound=AbstractHeadProduct)


def builder(name: str, component: Callable[..., Made]) -> Callable[..., Made]:
    """A row's `build`: the options that all such components take.

    Args:
        name: The row's name, for messages.
        component: The class, with `data`, `position` and `layers` as fields.
    """

    def build(
        config: TransformerConfig,
        *,
        data: Data = "weights",
        position: Position = -1,
        heads: bool = True,
        layers: tuple[int, ...] | None = None,
    ) -> Made:
        """The component, once it is known that the model has such a thing.

        Args:
            config: The model's config.
            data: Weights, activations or gradients.
            position: Token position of activations, or `all`.
            heads: Has no effect: heads are always taken one by one.
            layers: Only these layers.

        Raises:
            ValueError: the model has no such layer or position.
        """
        # An option that all components share: to say what is so must be no error.
        del heads
        has: tuple[Data, ...] = ("weights", "activations", "gradients")
        check_options(
            name, config, data=data, has=has, layers=layers, position=position
        )
        return component(data=data, position=position, layers=layers)

    return build
