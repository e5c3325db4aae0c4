"""Pytrees of arrays as vectors of one space."""

import functools
import operator
from typing import TypeVar

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key, PyTree

from ._dtypes import at_least_float32
from ._safe import unit_scale

Vector = TypeVar("Vector")


def linear_combination(*terms: tuple[float | Array, PyTree]) -> PyTree:
    """The sum of scalar × vector over some terms, in each leaf's own type."""
    scalars, vectors = zip(*terms, strict=True)

    def leaf(*xs: Array) -> Array:
        parts = (
            jnp.asarray(c).astype(x.dtype) * x for c, x in zip(scalars, xs, strict=True)
        )
        return functools.reduce(operator.add, parts)

    return jax.tree.map(leaf, *vectors)


def squared_norm(vector: PyTree) -> Float[Array, ""]:
    """The sum of squares over all leaves, accumulated in float32 or wider."""
    return inner(vector, vector)


def norm(vector: PyTree) -> Float[Array, ""]:
    """The Euclidean length over all leaves; its squares neither overflow nor vanish."""
    wide = jax.tree.map(at_least_float32, vector)
    scales = [unit_scale(x) for x in jax.tree.leaves(wide)]
    widest = functools.reduce(jnp.promote_types, (s.dtype for s in scales))
    scale = functools.reduce(jnp.maximum, (s.astype(widest) for s in scales))
    return scale * jnp.sqrt(squared_norm(linear_combination((1 / scale, wide))))


def inner(a: PyTree, b: PyTree) -> Float[Array, ""]:
    """The inner product over all leaves, accumulated in float32 or wider.

    Args:
        a: A vector.
        b: Another one of the same structure.
    """
    leaves = jax.tree.leaves(
        jax.tree.map(
            lambda x, y: (at_least_float32(x) * at_least_float32(y)).sum(), a, b
        )
    )
    widest = functools.reduce(jnp.promote_types, (leaf.dtype for leaf in leaves))
    return functools.reduce(operator.add, (leaf.astype(widest) for leaf in leaves))


def normal_like(key: Key[Array, ""], vector: Vector) -> Vector:
    """Independent standard normal numbers in the shape of a vector.

    Args:
        key: The numbers are drawn from it, with a part for each leaf.
        vector: Its shapes and types are taken.
    """
    leaves, treedef = jax.tree.flatten(vector)
    keys = jr.split(key, len(leaves))
    # Not `normal`: chains add these to weights in one fused program, where the same
    # noise, drawn otherwise, would be added with another rounding.
    return jax.tree.unflatten(
        treedef,
        [jr.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)],
    )


def count(vector: PyTree, mask: PyTree | None = None) -> int | Float[Array, ""]:
    """The number of coordinates of a vector, or of those that a mask keeps.

    Args:
        vector: Its shapes are looked at.
        mask: A tree of booleans that broadcast to its leaves; None for all coordinates.
    """
    if mask is None:
        return sum(leaf.size for leaf in jax.tree.leaves(vector))
    kept = jax.tree.map(
        lambda x, m: jnp.broadcast_to(m, x.shape).astype(jnp.float32).sum(),
        vector,
        mask,
    )
    return functools.reduce(operator.add, jax.tree.leaves(kept))


def keep(vector: Vector, mask: PyTree | None) -> Vector:
    """A vector with zeros where a mask is False.

    Args:
        vector: Any vector.
        mask: A tree of booleans that broadcast to its leaves; None keeps everything.
    """
    if mask is None:
        return vector
    return jax.tree.map(lambda x, m: jnp.where(m, x, jnp.zeros_like(x)), vector, mask)
