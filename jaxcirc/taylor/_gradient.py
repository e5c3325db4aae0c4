"""Taylor mode of a gradient: which arrays each order of a scalar comes from."""

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._core import number_dtype
from ._engine import EngineSpec
from ._line import AbstractLine, moved
from ._nested import powers_of
from ._push import Powers, push


def gradient_powers(line: AbstractLine, order: int, *, taylor_mode: bool) -> Powers:
    """Coefficients of the gradient along the line, up to t ** order.

    Args:
        line: Of a scalar.
        order: The highest power.
        taylor_mode: Whether by Taylor mode, which follows fewer functions, or by
            forward mode in a chain; up to a Hessian product the two are the same.
    """
    dtype = number_dtype(line.start)
    # The gradient alone, or with one Hessian product, needs no Taylor mode.
    taylor_mode = taylor_mode and order > 1
    line = line.written_out() if taylor_mode else line
    gradient = gradient_by(line)
    along = lambda t: gradient(moved(line.start, line.direction, t))
    if not taylor_mode:
        return powers_of(along, order, dtype)
    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)
    return push(along, (zero, one, *(zero,) * (order - 1)))


def products(
    line: AbstractLine, order: int, *, taylor_mode: bool = True
) -> tuple[PyTree, ...]:
    """What each entry contributes to each order: d · [∇f]_{j-1} / j for j = 1..order.

    The terms of order j add up to the coefficient c_j of the scalar.

    Args:
        line: Of a scalar.
        order: The highest power, at least 1.
        taylor_mode: As for `gradient_powers`.
    """
    gradients = gradient_powers(line, order - 1, taylor_mode=taylor_mode)
    share = lambda j: lambda d, g: d * g / jnp.asarray(float(j), g.dtype)
    return tuple(
        jax.tree.map(share(j), line.direction, gradient)
        for j, gradient in enumerate(gradients, start=1)
    )


def coefficients(line: AbstractLine, order: int) -> tuple[PyTree, ...]:
    """The value at the start, and the sum of all products at each order.

    Args:
        line: Of a scalar.
        order: The highest power, at least 1.

    Raises:
        ValueError: the value is no scalar, or `jet` cannot follow the gradient.
    """
    start = line.value(line.start)
    if not isinstance(start, jax.Array) or start.ndim:
        raise ValueError(
            "taylor: engine 'gradient' expands scalars, such as a loss. Use "
            "engine='jet' or engine='nested' for anything else."
        )
    total = lambda tree: sum(leaf.sum() for leaf in jax.tree.leaves(tree))
    return (start, *(total(tree) for tree in products(line, order)))


def gradient_by(line: AbstractLine):
    """The gradient by what moves, as a function of all parameters."""
    still = lambda d: d is None

    def gradient(params):
        # Gradients by what stands still would be computed and thrown away.
        moving = jax.tree.map(
            lambda d, x: None if d is None else x, line.direction, params, is_leaf=still
        )

        def value(some):
            whole = jax.tree.map(
                lambda s, x: x if s is None else s, some, params, is_leaf=still
            )
            return line.value(whole)

        return jax.grad(value)(moving)

    return gradient


SPEC = EngineSpec(
    name="gradient",
    summary="Taylor mode of the gradient: scalars, whose orders fall into parts",
    coefficients=coefficients,
    takes="scalars",
    paper="",
)
