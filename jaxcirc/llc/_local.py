"""The local posterior that every sampler draws from."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._core import keep, linear_combination

Params = TypeVar("Params")


class Evaluation(NamedTuple):
    """What the data say at one place.

    Args:
        loss: Mean loss of the step's examples.
        excess: That loss less the mean loss of the same examples at the centre.
        gradient: Gradient of the loss, zero where the mask is False.
    """

    loss: Float[Array, ""]
    excess: Float[Array, ""]
    gradient: PyTree


class Local(eqx.Module, Generic[Params]):
    """A neighbourhood of `center`, and the examples of one step.

    The density is proportional to exp(-n_beta L(w) - gamma/2 |w - center|²) inside the
    box, on the coordinates that the mask keeps; `n_beta`, `gamma` and the box belong to
    the sampler.
    """

    center: Params
    mask: PyTree | None
    losses: Callable[[Params], tuple[Array, Array]]

    def evaluate(self, w: Params) -> Evaluation:
        """Loss and gradient of this step's examples at `w`."""

        def loss_of(w: Params) -> tuple[Array, Array]:
            return self.losses(w)

        (loss, excess), gradient = jax.value_and_grad(loss_of, has_aux=True)(w)
        return Evaluation(loss, excess, keep(gradient, self.mask))

    def displacement(self, w: Params) -> Params:
        """How far `w` is from the centre, coordinate by coordinate."""
        return linear_combination((1, w), (-1, self.center))

    def reflect(self, w: Params, box: float | Array | None) -> Params:
        """`w` reflected back into the box: the centre ± `box` in every coordinate.

        Args:
            w: Weights, however far outside.
            box: Half the side of the box; None for no box.
        """
        if box is None:
            return w

        def fold(x: Array, c: Array) -> Array:
            half = jnp.asarray(box).astype(x.dtype)
            # A triangle wave: as many reflections as it takes.
            around = jnp.mod(x - c + half, 4 * half)
            folded = c + jnp.minimum(around, 4 * half - around) - half
            # Inside nothing is rounded, so whoever compares sees what was reflected.
            return jnp.where(jnp.abs(x - c) <= half, x, folded)

        return jax.tree.map(fold, w, self.center)
