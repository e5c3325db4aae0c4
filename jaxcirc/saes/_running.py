"""Sums over a whole data set, one batch after the other, that keep their digits."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Running(NamedTuple):
    """A sum, and what was rounded away from it.

    Args:
        value: The sum as far as it is known in its own precision.
        lost: What is to be added to it at the end.
    """

    value: Float[Array, "*shape"]
    lost: Float[Array, "*shape"]

    @classmethod
    def zero(cls, shape: tuple[int, ...] = ()) -> "Running":
        """The empty sum."""
        return cls(jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.float32))

    def plus(self, x: Float[Array, "*shape"]) -> "Running":
        """The sum with one more term.

        What rounding takes from a sum of two numbers is itself a number of the same
        precision, which three more operations find (Neumaier 1974). A sum of a million
        batches is then as exact as a sum of one.

        Args:
            x: The term.
        """
        value = self.value + x
        larger = jnp.abs(self.value) >= jnp.abs(x)
        big, small = jnp.where(larger, self.value, x), jnp.where(larger, x, self.value)
        return Running(value, self.lost + ((big - value) + small))

    @property
    def total(self) -> Float[Array, "*shape"]:
        """The sum."""
        return self.value + self.lost
