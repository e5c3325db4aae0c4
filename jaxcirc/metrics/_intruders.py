"""Directions of a finetuned matrix that the matrix before did not have."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float, Int

from .._core import at_least_float32


@functools.partial(jax.jit, static_argnames=("top", "epsilon"))
def intruder_dimensions(
    new: Float[Array, "row column"],
    old: Float[Array, "old_row old_column"],
    *,
    top: int = 10,
    epsilon: float | None = None,
) -> Int[Array, ""]:
    """How many main directions of a matrix are like none that it had before.

    Of the first `top` left singular vectors u of `new`, those with max_i |cos(u, u_i)|
    below `epsilon` over all left singular vectors u_i of `old` (Shuttleworth et al.
    2024, arXiv:2410.21228). In [0, top] directions; 0 for an unchanged matrix. Which
    `epsilon` says anything depends on the width: a random direction of 64 dimensions
    overlaps the best of a basis by 0.33 on average, one of 32 by 0.42, so that a fixed
    0.5 misses unrelated directions of narrow models. Unless given it is therefore the
    larger of 0.5 and what 95% of random directions stay below, `chance_overlap`.

    Args:
        new: The matrix after finetuning.
        old: The matrix before.
        top: Main directions that are looked at; all if there are fewer.
        epsilon: The overlap below which a direction counts as new.

    Returns:
        The number of intruders.

    Raises:
        ValueError: the shapes differ, or a number makes no sense.

    Example:
        >>> import jax.numpy as jnp
        >>> old = jnp.diag(jnp.arange(20.0, 0, -1))[:, :10]
        >>> spread = jnp.ones(20) / 20**0.5  # like none of the old directions
        >>> planted = old + 50 * jnp.outer(spread, jnp.eye(10)[7])
        >>> int(intruder_dimensions(old, old)), int(intruder_dimensions(planted, old))
        (0, 1)
    """
    if new.shape != old.shape or top < 1:
        raise ValueError(
            "intruder_dimensions: `new` and `old` must have one shape and `top` be at "
            f"least 1; got {new.shape}, {old.shape} and {top}."
        )
    if epsilon is None:
        epsilon = max(0.5, chance_overlap(new.shape[0], min(old.shape)))
    if not 0 < epsilon <= 1:
        raise ValueError(
            f"intruder_dimensions: `epsilon` must be in (0, 1]; got {epsilon}."
        )
    vectors = lambda x: jnp.linalg.svd(at_least_float32(x), full_matrices=False)[0]
    overlap = jnp.matmul(vectors(new)[:, :top].T, vectors(old), precision="highest")
    return (jnp.abs(overlap).max(axis=1) < epsilon).sum()


def chance_overlap(width: int, others: int, *, share: float = 0.95) -> float:
    """What the best overlap of a random direction stays below, with a probability.

    The quantile of max_i |cos(u, u_i)| for u uniform on the sphere of R^width and
    `others` orthonormal u_i. The square of one cosine has a Beta(1/2, (width - 1)/2)
    distribution, and the cosines are taken as independent, which is exact for many
    dimensions and within a few percent from 16 on. An intruder threshold below it
    misses directions that have nothing to do with the old ones.

    Args:
        width: Dimensions of the space.
        others: Orthonormal directions that are compared with, at most `width`.
        share: The probability.

    Returns:
        An overlap in (0, 1].

    Raises:
        ValueError: there are more directions than dimensions, or none.

    Example:
        >>> [round(chance_overlap(n, n, share=0.5), 2) for n in (64, 512, 4096)]
        [0.31, 0.14, 0.06]
    """
    if not 1 <= others <= width or not 0 < share < 1:
        raise ValueError(
            "chance_overlap: `others` must be from 1 to `width` and `share` in (0, 1); "
            f"got {others}, {width} and {share}."
        )
    if width == 1:
        return 1.0  # there is one direction
    square = scipy.special.betaincinv(0.5, (width - 1) / 2, share ** (1 / others))
    return float(np.sqrt(square))
