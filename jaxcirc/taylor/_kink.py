"""Where a ReLU on the way opens or closes first."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Inputs are looked at so many times on the way, and between two of them halved.
LOOKS, HALVINGS = 64, 30


@eqx.filter_jit
def first_kink(coefficients: Float[Array, "order *shape"]) -> Float[Array, ""]:
    """The first t in (0, 1] at which an input of a ReLU changes its sign.

    Up to that place, inputs of ReLUs that only other ReLUs lie before are polynomials,
    whose coefficients say where they vanish; behind softmax or norms they are as exact
    as the series. An input that vanishes twice between two looks is not seen.

    Args:
        coefficients: Of the inputs of all ReLUs.

    Returns:
        The place, or infinity where no input changes its sign.
    """

    def crossed(t):
        value = coefficients[-1]
        for c in coefficients[-2::-1]:
            value = c + jnp.asarray(t, c.dtype) * value
        start = coefficients[0]
        # At zero itself a ReLU is neither open nor closed, and counts for nothing.
        return (jnp.sign(value) * jnp.sign(start) < 0).any()

    places = jnp.linspace(0.0, 1.0, LOOKS + 1, dtype=coefficients.dtype)
    # One look after the other: each is as large as all inputs of ReLUs.
    seen = jax.lax.map(crossed, places[1:])
    first = jnp.argmax(seen)

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        over = crossed(middle)
        return jnp.where(over, low, middle), jnp.where(over, middle, high)

    low, high = jax.lax.fori_loop(
        0, HALVINGS, halve, (places[first], places[first + 1])
    )
    return jnp.where(seen.any(), (low + high) / 2, jnp.inf)
