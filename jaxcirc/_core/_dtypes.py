"""Precision of reported numbers."""

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

Tree = TypeVar("Tree")


def at_least_float32(x: Array) -> Array:
    """The array in float32, or as it is where its type is wider; whole numbers too."""
    wide = jnp.issubdtype(x.dtype, jnp.floating) and x.dtype.itemsize >= 4
    return x if wide else x.astype(jnp.float32)


def widened(tree: Tree) -> Tree:
    """The tree with its real numbers in float32, or in their own type where wider.

    For what half precision would lose: sums of many terms, small differences and
    derivatives. Whole numbers, keys and what is no array stay as they are.
    """
    return jax.tree.map(lambda x: at_least_float32(x) if _is_real(x) else x, tree)


def number_dtype(tree: PyTree) -> jnp.dtype:
    """The type of numbers about weights: float32, or float64 with such weights.

    Step sizes, losses and norms have it, whatever narrower type the weights are in.
    """
    leaves = jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))
    wide = any(x.dtype == jnp.dtype("float64") for x in leaves)
    return jnp.dtype("float64" if wide else "float32")


def _is_real(x: Any) -> bool:
    """Whether this is an array of real numbers of any width."""
    is_array = isinstance(x, jax.Array | np.ndarray)
    return is_array and jnp.issubdtype(x.dtype, jnp.floating)
