"""Where activations come from: what every source gives, whatever it reads."""

import abc
from typing import NamedTuple

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int


class Rows(NamedTuple):
    """Activations of some tokens, one row each.

    Between the axis of rows and that of the width stand the axes that a source has
    beside tokens, such as checkpoints and layers: `AbstractSource.axes` names them.

    Args:
        input: What a dictionary encodes.
        target: What it is to give instead; None where that is the input itself.
    """

    input: Float[Array, "row *axis d_in"]
    target: Float[Array, "row *axis d_out"] | None = None


class AbstractSource(eqx.Module):
    """Activations in numbered draws; the same number always gives the same rows.

    A source is a pytree, so that weights and tokens are arguments of the compiled
    program that draws from it. It holds its random key, and no place: how many draws
    were made is counted by the buffer, so a source has nothing to be saved.

    Attributes:
        axes: Names of the axes between rows and width; all rows of one draw are of the
            same tokens along them.
        shape: Sizes of these axes.
        most: How many draws there are before a row would come a second time; None for
            no end.
    """

    axes: eqx.AbstractVar[tuple[str, ...]]
    shape: eqx.AbstractVar[tuple[int, ...]]
    most: eqx.AbstractVar[int | None]

    @abc.abstractmethod
    def draw(self, number: Int[Array, ""]) -> tuple[Rows, Bool[Array, " row"]]:
        """The rows of one draw, and which of them are to be trained on.

        Args:
            number: Number of the draw, from 0.
        """
