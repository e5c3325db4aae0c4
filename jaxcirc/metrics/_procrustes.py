"""Orthogonal Procrustes distance of two representations."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._representations import (
    HIGHEST,
    centre,
    check_examples,
    paired,
    rotated_copy,
    shuffled,
)
from ._spec import Known, MetricSpec, Similarity


class _Unit(NamedTuple):
    x: Float[Array, "example feature"]
    in_other_order: Float[Array, "example feature"]


@jax.jit
def procrustes(
    x: Float[Array, "example feature_x"], y: Float[Array, "example_y feature_y"]
) -> Similarity:
    """Squared distance after the best rotation: 2 - 2 |x̂ᵀŷ|_*.

    `x̂` and `ŷ` are centred and of Frobenius norm 1; |·|_* is the sum of singular
    values (Schönemann 1966; Ding et al. 2021). In [0, 2], a distance: 0 for x Q c + b.
    Its root obeys the triangle inequality. Chance is its value for the rows of `y` in
    one fixed random order.

    Args:
        x: One representation of the examples.
        y: Another one of the same examples.

    Returns:
        The squared distance and its chance level. NaN if either is constant.

    Raises:
        ValueError: fewer than four examples, or other numbers of them.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0], [-1.0], [1.0], [-1.0]])
        >>> y = jnp.array([[1.0], [1.0], [-1.0], [-1.0]])
        >>> float(procrustes(x, y).value)  # nothing in common
        2.0
    """
    return _procrustes(x, y)


def _prepare(x: Array) -> _Unit:
    check_examples("procrustes", x)
    centred = centre(x)
    # A constant representation is NaN from here on.
    unit = centred / jnp.sqrt(jnp.square(centred).sum())
    return _Unit(unit, shuffled(unit))


def _compare(a: _Unit, b: _Unit) -> Similarity:
    return Similarity(_distance(a.x, b.x), _distance(a.x, b.in_other_order))


def _distance(x: Array, y: Array) -> Array:
    product = jnp.matmul(x.T, y, precision=HIGHEST)
    # What a decomposition makes of NaN differs between platforms: it never sees one.
    some = jnp.isfinite(product).all()
    s = jnp.linalg.svd(jnp.where(some, product, 0), compute_uv=False)
    return jnp.where(some, jnp.maximum(2 - 2 * s.sum(), 0), jnp.nan)


_procrustes = paired("procrustes", _prepare, _compare)

SPEC = MetricSpec(
    name="procrustes",
    summary="squared distance after the best rotation",
    fn=procrustes,
    kind="similarity",
    bounds=(0.0, 2.0),
    units="",
    paper="Schönemann 1966; Ding et al. 2021",
    invariant_to=frozenset(
        {"scale", "feature_rotation", "translation", "example_order", "exchange"}
    ),
    known=(
        Known(rotated_copy, 0.0, 1e-4),
        # Two orthogonal columns of examples have nothing in common.
        Known(
            lambda: (
                jnp.array([[1.0], [-1.0], [1.0], [-1.0]]),
                jnp.array([[1.0], [1.0], [-1.0], [-1.0]]),
            ),
            2.0,
        ),
    ),
    data=("activations", "gradients"),
    prepare=_prepare,
    compare=_compare,
    at_zero=float("nan"),
)
