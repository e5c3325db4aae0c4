"""Roots and ratios with a value, and a finite gradient, where the plain ones have none.

What is not a number stays so: zero alone is treated.
"""

import jax.numpy as jnp
import jax.scipy.special as jsp
from jaxtyping import Array, Float


def root(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The square root, whose gradient at 0 is 0 here and infinite otherwise."""
    zero = x == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


def ratio(
    above: Float[Array, "*shape"], below: Float[Array, "*shape"], *, empty: float
) -> Float[Array, "*shape"]:
    """One array over another, and `empty` where the lower one is 0.

    Args:
        above: Numerator.
        below: Denominator.
        empty: The value of a ratio to nothing.
    """
    zero = below == 0
    return jnp.where(zero, empty, above / jnp.where(zero, 1, below))


def unit_scale(x: Float[Array, "..."]) -> Float[Array, ""]:
    """The largest absolute entry, or 1 if all are zero: what to divide by first.

    Squares of what is divided by it neither overflow nor vanish.
    """
    largest = jnp.abs(x).max()
    return jnp.where(largest == 0, 1, largest)


def entropy_terms(p: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The terms -p ln p of an entropy in nats, with value and gradient 0 at 0."""
    zero = p == 0
    return jnp.where(zero, 0, jsp.entr(jnp.where(zero, 1, p)))
