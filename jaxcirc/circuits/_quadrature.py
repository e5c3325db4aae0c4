"""Where a line of inputs or activations is looked at, and what each place counts."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

Rule = Literal["left", "midpoint", "trapezoid"]


def check_rule(who: str, steps: int, rule: str) -> None:
    """Refuse a line without steps, and rules that there are not.

    Args:
        who: The method that complains.
        steps: Intervals.
        rule: Where an interval is looked at.

    Raises:
        ValueError: as said.
    """
    if steps < 1:
        raise ValueError(f"{who}: `steps` must be at least 1; got {steps}.")
    if rule not in ("left", "midpoint", "trapezoid"):
        raise ValueError(
            f"{who}: `rule` must be 'left', 'midpoint' or 'trapezoid'; got {rule!r}."
        )


def quadrature(
    steps: int, rule: Rule
) -> tuple[Float[Array, " run"], Float[Array, " run"]]:
    """Nodes in [0, 1] and weights of a rule, which add up to 1.

    Args:
        steps: Intervals.
        rule: Where an interval is looked at.

    Example:
        >>> nodes, weights = quadrature(2, "trapezoid")
        >>> nodes.tolist(), weights.tolist()
        ([0.0, 0.5, 1.0], [0.25, 0.5, 0.25])
    """
    if rule == "trapezoid":
        weights = jnp.ones(steps + 1).at[0].set(0.5).at[-1].set(0.5)
        return jnp.linspace(0.0, 1.0, steps + 1), weights / steps
    first = 0.5 if rule == "midpoint" else 0.0
    return (jnp.arange(steps, dtype=float) + first) / steps, jnp.full(steps, 1 / steps)
