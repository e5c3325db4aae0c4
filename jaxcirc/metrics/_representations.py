"""What similarities share: checks, centring, principal directions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float

from .._core import at_least_float32
from ._spec import Known, Similarity

HIGHEST = jax.lax.Precision.HIGHEST
LEAST_EXAMPLES = 4


class Directions(NamedTuple):
    """The principal directions of centred examples.

    Args:
        centred: The examples, centred and scaled to a largest entry of 1.
        basis: Left singular vectors, orthonormal in the space of examples.
        values: Singular values, descending.
        kept: Those that are not numerically zero.
    """

    centred: Float[Array, "example feature"]
    basis: Float[Array, "example direction"]
    values: Float[Array, " direction"]
    kept: Bool[Array, " direction"]


def check_examples(name: str, x: Array) -> None:
    """Refuse fewer examples than a similarity can be of.

    Raises:
        ValueError: `x` has less than four rows.
    """
    if x.shape[0] < LEAST_EXAMPLES:
        raise ValueError(
            f"{name}: needs at least {LEAST_EXAMPLES} examples (rows); got {x.shape}. "
            "Take more examples, or several positions of each."
        )


def check_pair(name: str, x: Array, y: Array) -> None:
    """Refuse matrices that cannot hold the same examples.

    Raises:
        ValueError: other numbers of rows.
    """
    if x.shape[0] != y.shape[0]:
        raise ValueError(
            f"{name}: `x` and `y` must hold the same examples (axis 0); got {x.shape} "
            f"and {y.shape}. Run both checkpoints on one batch of tokens."
        )


def centre(x: Float[Array, "example feature"]) -> Float[Array, "example feature"]:
    """Features minus their means, over the largest entry that leaves.

    All similarities are unchanged by scale, and squares of squares overflow otherwise.
    What is constant up to rounding is made exactly 0.
    """
    wide = at_least_float32(x)
    mean = wide.mean(axis=0, keepdims=True)
    centred = wide - mean
    largest = jnp.abs(centred).max()
    # The mean of n numbers is off by a few units in the last place of its size.
    rounding = 8 * jnp.finfo(wide.dtype).eps * jnp.abs(mean).max()
    constant = largest <= rounding
    return jnp.where(constant, 0, centred / jnp.where(constant, 1, largest))


def directions(x: Float[Array, "example feature"]) -> Directions:
    """The principal directions of `x`, and which of them are more than rounding."""
    centred = centre(x)
    basis, values, _ = jnp.linalg.svd(centred, full_matrices=False)
    rounding = max(x.shape) * jnp.finfo(values.dtype).eps
    return Directions(centred, basis, values, ~(values <= rounding * values[0]))


def paired(
    name: str,
    prepare: Callable[[Array], Any],
    compare: Callable[[Any, Any], Similarity],
) -> Callable[[Array, Array], Similarity]:
    """The metric of two matrices, from what is computed of each and of both."""

    def metric(x: Array, y: Array) -> Similarity:
        check_pair(name, x, y)
        return compare(prepare(x), prepare(y))

    return metric


def shuffled(x: Float[Array, "example ..."]) -> Float[Array, "example ..."]:
    """The same rows in one fixed random order, as an unrelated thing would be."""
    return x[jr.permutation(jr.key(0), x.shape[0])]


# The catalogue's known values are values on these samples.


def gaussian(n: int, *sizes: int, seed: int = 0) -> tuple[Array, ...]:
    """Independent standard normal matrices of `n` rows."""
    keys = jr.split(jr.key(seed), len(sizes))
    return tuple(jr.normal(k, (n, p)) for k, p in zip(keys, sizes, strict=True))


def rotated_copy() -> tuple[Array, Array]:
    """A matrix, and itself rotated, scaled and moved."""
    x, square = gaussian(24, 5, 5)
    turn = jnp.linalg.qr(square[:5])[0]
    return x, 3 * jnp.matmul(x, turn, precision=HIGHEST) + 7


def mixed_copy() -> tuple[Array, Array]:
    """A matrix, and itself under an invertible map."""
    x, square = gaussian(24, 5, 5)
    mix = square[:5] + 2 * jnp.eye(5)
    return x, jnp.matmul(x, mix, precision=HIGHEST) + 7


ROTATED, MIXED = Known(rotated_copy, 1.0, 1e-4), Known(mixed_copy, 1.0, 1e-3)
