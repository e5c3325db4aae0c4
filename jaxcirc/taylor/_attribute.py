"""Which weights a change of the loss comes from, by order or over a path."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ._engines import behind_barrier, check_order
from ._gradient import gradient_by, products
from ._groups import Groups, stacked, sums_by
from ._line import FunctionLine, moved
from ._models import direction_between


class Attribution(eqx.Module):
    """Shares of groups of weights in a change of the loss.

    Args:
        names: What the groups are called.
        values: The share of each; by order, with a leading axis for orders from 1 on.
        change: loss(tuned) - loss(base), which the shares are of.
        residual: What the shares do not add up to: `change` less their sum.
        path: Along which line: `start`, whose derivatives alone were looked at,
            `chord`, the straight line, or `checkpoints`, a line from one to the next.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    values: Float[Array, "*order group"]
    change: Float[Array, ""]
    residual: Float[Array, ""]
    path: Literal["start", "chord", "checkpoints"] = eqx.field(static=True)

    def total(self) -> dict[str, float]:
        """Each group's share, all orders together."""
        values = np.asarray(self.values)
        values = values.sum(axis=0) if values.ndim == 2 else values
        return dict(zip(self.names, values.tolist(), strict=True))


def attribute(
    loss: Callable[[Any], Float[Array, ""]],
    base: PyTree,
    tuned: PyTree,
    *,
    groups: Groups = "tensors",
    order: int | None = None,
    nodes: int = 16,
    through: Sequence[PyTree] = (),
    engine: Literal["gradient", "nested"] = "nested",
) -> Attribution:
    """The change of a loss from `base` to `tuned`, shared out among groups of weights.

    Without an order, the shares are integrals over the path of d_g · ∇_g loss, by
    Gauss-Legendre nodes: on a straight line the Aumann-Shapley value, which always adds
    up to the change. With one, they are terms of the Taylor series at `base`,
    d_g · [∇_g loss]_{j-1} / j for the order j: order 1 is a gradient times the
    step, order 2 adds half the step times Hessian times step, at the cost of one
    Hessian product for all groups, and both together are the Shapley value of the
    quadratic game. They add up to the change only as far as the series reaches. Either
    way look at the residual, and say which path: another one has other shares.

    Args:
        loss: A number of the model, or of any pytree, such as
            `lambda model: CrossEntropy().mean(model, batch)`.
        base: Weights where the change begins.
        tuned: Weights where it ends.
        groups: `tensors`, `layers`, `heads` (with a group for each MLP), or disjoint
            masks by name, whose remainder is the group `rest`.
        order: Of the Taylor series, from 1 to 24; None to integrate over the path.
        nodes: Points of each straight piece of the path, one gradient each.
        through: Weights in between, in their order, such as checkpoints.
        engine: From order 3 on, `nested` forward mode of the gradient, for any loss, or
            `gradient`, its Taylor mode, which is faster and follows fewer functions.

    Returns:
        Shares with what they add up to and what they miss.

    Raises:
        ValueError: there is no line between the weights, they are not finite, or the
            loss at either end, or it is no single number; groups are unknown or
            overlap; the order or the number of nodes makes no sense; an order together
            with weights in between; Taylor mode cannot follow the loss.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import taylor
        >>> loss = lambda w: w["a"] * w["b"]
        >>> zero, one = {"a": 0.0, "b": 0.0}, {"a": 1.0, "b": 1.0}
        >>> ends = [{k: jnp.asarray(v) for k, v in w.items()} for w in (zero, one)]
        >>> found = taylor.attribute(loss, *ends, nodes=2)
        >>> {name: round(v, 4) for name, v in found.total().items()}  # half each
        {'a': 0.5, 'b': 0.5}

    Reference:
        Aumann & Shapley, "Values of Non-Atomic Games" (1974).
        Lan et al., "LCA: Loss Change Allocation for Neural Network Training" (2019).
    """
    who = "taylor.attribute"
    if order is not None:
        check_order(order, who=who, lowest=1)
        if len(through):
            raise ValueError(
                f"{who}: an order is of the series at `base`, which sees no weights in "
                "between. Leave out `order` to integrate over the path, or `through`."
            )
    if nodes < 1:
        raise ValueError(f"{who}: `nodes` must be at least 1; got {nodes}.")
    # Straight pieces, whose shares add up.
    path = [base, *through, tuned]
    lines = [
        FunctionLine(loss, *direction_between(a, b, who=who))
        for a, b in zip(path[:-1], path[1:], strict=True)
    ]
    shape = eqx.filter_eval_shape(lines[0].value, lines[0].start)
    if getattr(shape, "shape", None) != ():
        raise ValueError(
            f"{who}: `loss` must give one number; got {shape}. Take a mean."
        )
    sums = sums_by(groups, lines[0].direction, who=who)
    if order is not None:
        change, values, names = _by_order(lines[0], order, sums, engine == "gradient")
        kind: Literal["start", "chord", "checkpoints"] = "start"
    else:
        found = [_integrated(line, *_gauss(nodes), sums) for line in lines]
        change = jnp.stack([one[0] for one in found]).sum()
        values = jnp.stack([one[1] for one in found]).sum(axis=0)
        names = found[0][2]
        kind = "checkpoints" if len(through) else "chord"
    if not np.isfinite(change):
        raise ValueError(
            f"{who}: the loss changes by {float(change)}, so it is not finite at one "
            "of the ends. Take another checkpoint, or a loss without 0/0."
        )
    return Attribution(names, values, change, change - values.sum(), kind)


@eqx.filter_jit
def _by_order(line, order: int, sums, taylor_mode: bool):
    line = behind_barrier(line)
    # Of the ends themselves, not of the sum of shares that it is compared with.
    change = line.value(_end(line)) - line.value(line.start)
    found = products(line, order, taylor_mode=taylor_mode)
    names, values = stacked([sums(tree) for tree in found])
    return change, values, names


@eqx.filter_jit
def _integrated(line, nodes, weights, sums):
    """The change, and the integral over one straight piece for each group."""
    line = behind_barrier(line)
    change = line.value(_end(line)) - line.value(line.start)
    gradient = gradient_by(line)

    def node(t):
        slopes = gradient(moved(line.start, line.direction, t))
        return sums(jax.tree.map(jnp.multiply, line.direction, slopes))

    # One after the other: in a batch they would be as many models in memory.
    found = jax.lax.map(node, nodes.astype(change.dtype))
    weigh = lambda values: (values * weights.astype(values.dtype)).sum()
    names, values = stacked([{name: weigh(v) for name, v in found.items()}])
    return change, values[0], names


def _end(line: FunctionLine) -> PyTree:
    return moved(line.start, line.direction, 1.0)


def _gauss(nodes: int) -> tuple[Array, Array]:
    """Gauss-Legendre nodes in [0, 1] and weights, exact to degree 2 nodes - 1."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    return jnp.asarray((places + 1) / 2), jnp.asarray(weights / 2)
