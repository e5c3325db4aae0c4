"""The loss on the straight line between two models."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._core import number_dtype
from ._engines import behind_barrier
from ._line import FunctionLine
from ._models import direction_between


class Chord(eqx.Module):
    """A loss on the line between two models.

    Args:
        t: Where; 0 is the first model and 1 the second.
        losses: The loss at each place.
        barrier: max_t L(t) - [(1 - t) L(0) + t L(1)], at least 0.
    """

    t: Float[Array, " place"]
    losses: Float[Array, " place"]
    barrier: Float[Array, ""]


def barrier(
    loss: Callable[[Any], Float[Array, ""]],
    base: PyTree,
    tuned: PyTree,
    *,
    points: int = 11,
) -> Chord:
    """How far the loss rises on the straight line from one model to another.

    The barrier is the largest excess over the straight line between the two losses:
    max_t L(t) - [(1 - t) L(0) + t L(1)]. It is 0 where the loss is convex on the way,
    as that of a quadratic bowl, and two models of one basin have none.

    Args:
        loss: A number of the model, or of any pytree.
        base: Weights at t = 0.
        tuned: Weights at t = 1.
        points: Places that are looked at, both ends included.

    Returns:
        The losses and the barrier.

    Raises:
        ValueError: there is no line between the weights, or fewer than 2 points.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import taylor
        >>> hill = lambda w: 1 - jnp.square(w)
        >>> chord = taylor.barrier(hill, jnp.asarray(-1.0), jnp.asarray(1.0))
        >>> float(chord.barrier)
        1.0

    Reference:
        Frankle et al., "Linear Mode Connectivity and the Lottery Ticket Hypothesis"
        (2020).
    """
    if points < 2:
        raise ValueError(f"taylor.barrier: `points` must be at least 2; got {points}.")
    start, direction = direction_between(base, tuned, who="taylor.barrier")
    t = jnp.linspace(0.0, 1.0, points, dtype=number_dtype(start))
    losses = _losses(FunctionLine(loss, start, direction), t)
    # Between equal losses it is their value, without rounding.
    straight = losses[0] + t * (losses[-1] - losses[0])
    straight = straight.at[-1].set(losses[-1])
    return Chord(t, losses, (losses - straight).max())


@eqx.filter_jit
def _losses(line, t):
    return jax.lax.map(behind_barrier(line).at, t)
