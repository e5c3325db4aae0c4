"""How large weights are and how much they move."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import at_least_float32


def frobenius_norm(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Length of `x` as one vector: the root of the sum of its squares.

    In [0, inf), in the units of `x`; unchanged by rotation. Computed after dividing by
    the largest entry, so that neither tiny nor huge entries are lost.

    Example:
        >>> import jax.numpy as jnp
        >>> float(frobenius_norm(jnp.array([[3.0], [4.0]])))
        5.0
    """
    wide = at_least_float32(x)
    largest = jnp.abs(wide).max()
    unit = jnp.where(largest > 0, largest, 1)
    return unit * jnp.sqrt(jnp.square(wide / unit).sum())


def update_ratio(
    new: Float[Array, "*shape"], old: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """How far weights moved, relative to where they were: ‖new - old‖ / ‖old‖.

    In [0, inf), dimensionless; unchanged by a common scale or rotation. NaN from a zero
    `old` to itself, infinite from a zero `old` to anything else.
    """
    return frobenius_norm(new - old) / frobenius_norm(old)
