"""Functions of one matrix at every layer and head."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ...components import Factored


def over(fn: Callable, lead: int, *trees: PyTree) -> Any:
    """A function's value at every index of the leading axes.

    Mapped one after the other on a CPU, where decompositions are not faster in a batch
    and a choice between two of them then costs one; vmapped elsewhere.

    Args:
        fn: A function of one matrix, or of one from each tree.
        lead: How many axes lead; 0 for a single matrix.
        *trees: Arrays with those axes in front.
    """
    if not lead:
        return fn(*trees)
    shape = jax.tree.leaves(trees)[0].shape[:lead]
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[lead:]), trees)
    if jax.default_backend() == "cpu":
        found = jax.lax.map(lambda args: fn(*args), flat)
    else:
        found = jax.vmap(fn)(*flat)
    return jax.tree.map(lambda x: x.reshape(*shape, *x.shape[1:]), found)


def last_axis(found: Any) -> Any:
    """The same arrays with their first axis last."""
    return jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), found)


def dense(x: Array | Factored) -> Array:
    """A matrix, multiplied out if it is kept as two factors."""
    return x.dense() if isinstance(x, Factored) else x
