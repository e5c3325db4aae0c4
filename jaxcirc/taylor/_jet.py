"""Taylor mode on the written-out function."""

import jax.numpy as jnp
from jaxtyping import PyTree

from .._core import number_dtype
from ._engine import EngineSpec
from ._line import AbstractLine
from ._push import push


def coefficients(line: AbstractLine, order: int) -> tuple[PyTree, ...]:
    """One pass that carries all powers of t at once through each operation.

    Args:
        line: What is expanded, without loops.
        order: The highest power, at least 1.
    """
    dtype = number_dtype(line.start)
    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)
    # The only input is t: whatever moves is a function of it, to first order.
    t = (zero, one, *(zero,) * (order - 1))
    return push(line.written_out().at, t)


SPEC = EngineSpec(
    name="jet",
    summary="Taylor mode on the function written out, layer after layer",
    coefficients=coefficients,
    takes="functions without loops",
    paper="Bettencourt, Johnson & Duvenaud 2019",
)
