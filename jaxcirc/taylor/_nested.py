"""Forward mode, nested in one chain: for every function that can be differentiated."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._core import number_dtype
from ._engine import EngineSpec
from ._line import AbstractLine


def coefficients(line: AbstractLine, order: int) -> tuple[PyTree, ...]:
    """All derivatives by t from one program, each over its factorial.

    Args:
        line: What is expanded; loops, `checkpoint` and functions with derivative rules
            of their own included.
        order: The highest power.
    """
    return powers_of(line.at, order, number_dtype(line.start))


def powers_of(
    fn: Callable[[Float[Array, ""]], PyTree], order: int, dtype: jnp.dtype
) -> tuple[PyTree, ...]:
    """The coefficients of a function of one number, at 0.

    Args:
        fn: The function.
        order: The highest power.
        dtype: Of its argument.
    """
    chain = lambda t: (fn(t),)
    for _ in range(order):
        chain = _lifted(chain)
    # One program: the value and all derivatives come out together.
    derivatives = chain(jnp.zeros((), dtype))
    scale = lambda j: lambda x: x / jnp.asarray(float(math.factorial(j)), x.dtype)
    return tuple(jax.tree.map(scale(j), d) for j, d in enumerate(derivatives))


def _lifted(chain: Callable) -> Callable:
    """The chain with one more derivative, that of its last."""

    # The lower ones come out of the same pass: as programs of their own they would
    # repeat it, which takes 1.3 to 1.7 times as long at order 3.
    def longer(t):
        out, tangent = jax.jvp(chain, (t,), (jnp.ones_like(t),))
        return (*out, tangent[-1])

    return longer


SPEC = EngineSpec(
    name="nested",
    summary="forward mode, nested: any function, loops and custom rules included",
    coefficients=coefficients,
    takes="any function",
    paper="",
)
