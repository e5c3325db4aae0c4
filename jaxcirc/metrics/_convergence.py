"""When a quantity has arrived for good."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


@functools.partial(jax.jit, static_argnames="threshold")
def convergence_step(
    steps: Int[Array, " step"],
    similarity: Float[Array, " step"],
    *,
    threshold: float,
) -> Int[Array, ""]:
    """The first step from which on a similarity stays at or above a threshold.

    -1 if it ends below (after Diehl Martinez et al. 2024, arXiv:2410.11451). NaN counts
    as below, and so moves the step behind it. A curve that touches the threshold and
    falls back has not arrived; which step it is depends on how densely it was measured.

    Args:
        steps: Training steps, ascending.
        similarity: One value a step, such as CKA to the last checkpoint.
        threshold: What counts as arrived.

    Example:
        >>> import jax.numpy as jnp
        >>> steps, values = jnp.array([0, 10, 20, 30]), jnp.array([0.1, 0.9, 0.3, 0.95])
        >>> int(convergence_step(steps, values, threshold=0.8))
        30
    """
    # True from the last value backwards for as long as every one is high enough.
    stays = jnp.cumprod((similarity >= threshold)[::-1].astype(jnp.int32))[::-1]
    return jnp.where(stays.any(), steps[jnp.argmax(stays)], -1)
