"""Taylor mode on pytrees: the coefficients of a function from those of its inputs."""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.errors import UnexpectedTracerError
from jax.experimental import jet as jax_jet
from jaxtyping import PyTree

# One tree for each power of t, from 0 on; their leaves are arrays of real numbers.
Powers: TypeAlias = tuple[PyTree, ...]


def push(fn: Callable[..., PyTree], *inputs: Powers) -> Powers:
    """Coefficients of `fn(x(t), y(t), ...)` from those of `x(t)`, `y(t)`, ...

    Args:
        fn: A function of pytrees, written with operations that `jet` can follow.
        inputs: The coefficients of each argument, all up to one power, at least 1.

    Raises:
        ValueError: `jet` has no rule for an operation of the function; the message
            names it and the engine that can follow it.
    """
    order = len(inputs[0]) - 1
    # `jet` takes arrays one by one, with the series of each as a list.
    first, treedef = jax.tree.flatten([powers[0] for powers in inputs])
    higher = [
        jax.tree.leaves([powers[j] for powers in inputs]) for j in range(order + 1)
    ]
    series = [list(terms) for terms in zip(*higher[1:], strict=True)]
    # The structure of the output is known once the function has been traced.
    found = {}

    def flat(*leaves):
        out = fn(*jax.tree.unflatten(treedef, leaves))
        leaves, found["treedef"] = jax.tree.flatten(out)
        return leaves

    try:
        # Unscaled, the derivatives themselves pass through factorials, which overflow
        # whole numbers from the 21st on.
        primal, terms = jax_jet.jet(flat, first, series, factorial_scaled=False)
    except (KeyError, UnexpectedTracerError, NotImplementedError, TypeError) as error:
        raise ValueError(_no_rule(error)) from error
    tree = lambda leaves: jax.tree.unflatten(found["treedef"], leaves)
    return (tree(primal), *(tree([t[j] for t in terms]) for j in range(order)))


def line_powers(start: PyTree, direction: PyTree, order: int) -> Powers:
    """Coefficients of `start + t direction`: both of them, and zeros.

    Args:
        start: Arrays of real numbers.
        direction: In the same structure.
        order: The highest power.
    """
    # Made inside the program, where XLA sees that they are zeros and leaves their
    # products out.
    zeros = jax.tree.map(jnp.zeros_like, direction)
    return (start, direction, *(zeros,) * (order - 1))


def _no_rule(error: Exception) -> str:
    """Who complains about what, and the way out."""
    what = f"a function ({type(error).__name__}: {str(error).splitlines()[0]})"
    if isinstance(error, KeyError) and error.args:
        what = f"the operation `{error.args[0]}`"
    elif isinstance(error, UnexpectedTracerError):
        what = "a function with a derivative rule of its own"
    return (
        f"taylor: Taylor mode (`jax.experimental.jet`) cannot follow {what}. Use "
        "`engine='nested'`, which takes any function that jax can differentiate."
    )
