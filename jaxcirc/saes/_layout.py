"""Which axes of activations give dictionaries, and which are sites of one."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from ._checks import require
from ._source import Rows


class Layout(NamedTuple):
    """How the axes between rows and width are used.

    Args:
        axes: Names of those along which dictionaries differ.
        shape: Their sizes.
        sites: Position of the axis that a crosscoder reads at once; None for none.
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    sites: int | None

    @property
    def places(self) -> int:
        """How many places activations are of, each with dictionaries of its own."""
        return math.prod(self.shape)

    def arranged(self, rows: Rows) -> Rows:
        """Rows with one axis of places, and behind it that of sites, if any.

        Args:
            rows: As the source gives them.
        """
        target = None if rows.target is None else self._one(rows.target)
        return Rows(self._one(rows.input), target)

    def _one(self, x: Array) -> Array:
        if self.sites is None:
            return x.reshape(x.shape[0], self.places, x.shape[-1])
        x = jnp.moveaxis(x, self.sites + 1, -2)
        return x.reshape(x.shape[0], self.places, *x.shape[-2:])


def layout(
    axes: Sequence[str], shape: Sequence[int], sites: int | None, over: str | None
) -> Layout:
    """The layout for activations with these axes.

    Args:
        axes: Names of the axes between rows and width.
        shape: Their sizes.
        sites: How many sites a crosscoder has; None for other dictionaries.
        over: Which axis they are; None where there is only one of that size.

    Raises:
        ValueError: a crosscoder has no such axis, or more than one.
    """
    if sites is None:
        require(
            over is None,
            f"`over={over!r}` is for crosscoders; give the architecture `sites`.",
        )
        return Layout(tuple(axes), tuple(shape), None)
    fitting = [
        i
        for i, (name, size) in enumerate(zip(axes, shape, strict=True))
        if size == sites and over in (None, name)
    ]
    there = ", ".join(f"{a} {n}" for a, n in zip(axes, shape, strict=True)) or "none"
    require(
        len(fitting) > 0,
        f"a crosscoder of {sites} sites needs an axis of that length"
        f"{'' if over is None else f' called {over!r}'}; the activations have {there}. "
        "Give several layers, sites or checkpoints.",
    )
    require(
        len(fitting) == 1,
        f"the activations have several axes of length {sites} ({there}); say which one "
        "the crosscoder is over, such as `over='layer'`.",
    )
    at = fitting[0]
    rest = [i for i in range(len(axes)) if i != at]
    return Layout(tuple(axes[i] for i in rest), tuple(shape[i] for i in rest), at)
