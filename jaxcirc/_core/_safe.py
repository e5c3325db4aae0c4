"""Roots and ratios with a value, and a finite gradient, where the plain ones have none.

What is not a number stays so: zero alone is treated.
"""

import jax.numpy as jnp
import jax.scipy.special as jsp
from jaxtyping import Array, Float


def root(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """√x with gradient 0 at 0."""
    zero = x == 0
    return jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, x)))


def ratio(
    above: Float[Array, "*shape"], below: Float[Array, "*shape"], *, empty: float
) -> Float[Array, "*shape"]:
    """Above / below, and `empty` where `below` is 0."""
    zero = below == 0
    return jnp.where(zero, empty, above / jnp.where(zero, 1, below))


def unit_scale(x: Float[Array, "..."]) -> Float[Array, ""]:
    """The largest absolute entry, or 1 if all are zero: what to divide by first.

    Squares of what is divided by it neither overflow nor vanish.
    """
    largest = jnp.abs(x).max()
    return jnp.where(largest == 0, 1, largest)


def entropy_terms(p: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """-p ln p, in nats, with value and gradient 0 at 0."""
    zero = p == 0
    return jnp.where(zero, 0, jsp.entr(jnp.where(zero, 1, p)))
