"""Condition number and numerical rank, which belong together."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import ratio
from ._singular_values import singular_values
from ._spec import Known, MetricSpec


@functools.partial(jax.jit, static_argnames="rtol")
def numerical_rank(
    x: Float[Array, "row column"], *, rtol: float | None = None
) -> Float[Array, ""]:
    """How many singular values exceed `rtol` times the largest.

    A whole number in [0, min(row, column)]; 0 for a zero matrix. Unchanged by rotation,
    scale and transposition.

    Args:
        x: The matrix.
        rtol: Singular values up to this times the largest count as zero; by default the
            shorter side times the precision of the type.

    Example:
        >>> import jax.numpy as jnp
        >>> float(numerical_rank(jnp.ones((5, 4))))
        1.0
    """
    s = singular_values(x)
    return _rank(s, _tolerance(s, rtol))


@functools.partial(jax.jit, static_argnames=("rtol", "singular"))
def condition_number(
    x: Float[Array, "row column"],
    *,
    rtol: float | None = None,
    singular: bool = False,
) -> Float[Array, ""]:
    """Largest singular value over the smallest that is not numerically zero.

    In [1, inf): how unequally `x` treats directions, among those that it does not
    destroy; report it beside `numerical_rank`. NaN for a zero matrix. Unchanged by
    rotation, scale and transposition.

    Args:
        x: The matrix.
        rtol: What counts as zero, relative to the largest; see `numerical_rank`.
        singular: Give infinity where some singular values are numerically zero, those
            of a zero matrix included.

    Example:
        >>> import jax.numpy as jnp
        >>> float(condition_number(jnp.diag(jnp.array([4.0, 2.0, 0.0]))))
        2.0
    """
    s = singular_values(x)
    tolerance = _tolerance(s, rtol)
    value = _condition(s, tolerance)
    deficient = _rank(s, tolerance) < len(s)
    return jnp.where(deficient & singular, jnp.inf, value)


def _tolerance(s: Array, rtol: float | None) -> float:
    return len(s) * float(jnp.finfo(s.dtype).eps) if rtol is None else rtol


def _rank(s: Array, rtol: float) -> Array:
    return (s > rtol * s[0]).sum().astype(s.dtype)


def _condition(s: Array, rtol: float) -> Array:
    # What counts as zero must not be the smallest. Asked by `<=`, NaN stays and passes.
    kept = jnp.where(s <= rtol * s[0], jnp.inf, s)
    return ratio(s[0], jnp.where(s[0] == 0, 0, kept.min()), empty=jnp.nan)


_SHARED = {
    "kind": "spectrum",
    "paper": "Golub & Van Loan 2013, section 2.6",
    "invariant_to": frozenset({"scale", "rotation", "transpose"}),
}
SPEC = MetricSpec(
    name="condition_number",
    summary="largest over smallest singular value that is not numerically zero",
    fn=condition_number,
    bounds=(1.0, None),
    units="",
    known=(
        Known(lambda: (jnp.eye(4),), 1.0),
        Known(lambda: (jnp.diag(jnp.array([8.0, 2.0, 0.0])),), 4.0),
        Known(lambda: (jnp.ones((4, 4)),), 1.0),
    ),
    of_spectrum=lambda s: _condition(s, _tolerance(s, None)),
    **_SHARED,
    at_zero=float("nan"),
)
RANK = MetricSpec(
    name="numerical_rank",
    summary="singular values that are not numerically zero",
    fn=numerical_rank,
    bounds=(0.0, None),
    units="directions",
    known=(
        Known(lambda: (jnp.eye(4, 6),), 4.0),
        Known(lambda: (jnp.diag(jnp.array([8.0, 2.0, 0.0])),), 2.0),
        Known(lambda: (jnp.zeros((4, 4)),), 0.0),
    ),
    of_spectrum=lambda s: _rank(s, _tolerance(s, None)),
    **_SHARED,
    counts=True,
)
