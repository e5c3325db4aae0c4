"""Activations that something else draws, such as planted features."""

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Int, Key

from ._source import AbstractSource, Rows


@runtime_checkable
class Sampler(Protocol):
    """Anything that draws activations, such as what `planted` gives."""

    def sample(self, n: int, *, key: Key[Array, ""]) -> Any:
        """`n` rows, as an array or as something that has them as `activations`.

        Args:
            n: How many.
            key: Random key of the draw.
        """
        ...


class SampledActivations(AbstractSource):
    """Fresh rows of a sampler at every draw, without end.

    Args:
        sampler: What draws them.
        rows: How many a draw gives.
        key: Random key; each draw folds its number in.
    """

    sampler: Sampler
    rows: int = eqx.field(static=True)
    key: Key[Array, ""]
    axes: tuple[str, ...] = eqx.field(static=True, default=())
    shape: tuple[int, ...] = eqx.field(static=True, default=())
    most: int | None = eqx.field(static=True, default=None)

    def draw(self, number: Int[Array, ""]) -> tuple[Rows, Bool[Array, " row"]]:
        """The rows of one draw, all of which count.

        Args:
            number: Number of the draw.
        """
        made = self.sampler.sample(self.rows, key=jr.fold_in(self.key, number))
        return Rows(getattr(made, "activations", made)), jnp.ones(self.rows, bool)
