"""The expanded model as a function of its weights, which can be trained."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._core import number_dtype
from ._engines import check_order
from ._nested import powers_of


class Tangent(eqx.Module):
    """The Taylor polynomial of a function at some weights, as a function of weights.

    Args:
        fn: The function, (params, *args) -> arrays.
        params: Where it is expanded.
        order: The highest power.
    """

    fn: Callable[..., Any]
    params: Any
    order: int = eqx.field(static=True)

    def __call__(self, params: PyTree, *args: Any) -> PyTree:
        """Σ_j D^j fn(w0)[(w - w0)^j] / j!.

        Args:
            params: The weights w, of the structure of those expanded at.
            args: Passed on to the function, such as tokens.
        """
        moving, still = eqx.partition(self.params, eqx.is_inexact_array)
        # The point of expansion does not train with the weights.
        start = jax.lax.stop_gradient(moving)
        way = jax.tree.map(
            jnp.subtract, eqx.filter(params, eqx.is_inexact_array), start
        )

        def at(t):
            point = jax.tree.map(lambda x, d: x + t.astype(x.dtype) * d, start, way)
            return self.fn(eqx.combine(point, still), *args)

        # Forward mode in a chain: training differentiates it backwards once more, for
        # which Taylor mode has no rules.
        powers = powers_of(at, self.order, number_dtype(self.params))
        return jax.tree.map(lambda *terms: sum(terms), *powers)


def tangent(fn: Callable[..., Any], params: PyTree, *, order: int = 1) -> Tangent:
    """The function's Taylor polynomial at `params`, as a function that trains.

    Of order 1 it is the linearised model f(w0) + J (w - w0): additive in w - w0, so
    that task vectors add up in it exactly, and trained it follows the kernel of w0. Of
    order 0 it is constant, and of order k it agrees with the function in all
    derivatives up to the k-th. Its gradient by the weights is that of the polynomial.

    Args:
        fn: (params, *args) -> arrays; anything that jax differentiates.
        params: Weights to expand at: a model, or any pytree.
        order: The highest power, from 0 to 24.

    Returns:
        A function of (params, *args) that is a pytree, so that its weights are
        arguments of a compiled program.

    Raises:
        ValueError: the order is negative or too high.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import taylor
        >>> at_zero = taylor.tangent(jnp.exp, jnp.zeros(()), order=2)
        >>> float(at_zero(jnp.ones(())))  # 1 + 1 + 1/2
        2.5
    """
    check_order(order, who="taylor.tangent")
    return Tangent(fn, params, order)
