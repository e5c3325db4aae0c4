"""Stable rank: a rank that small perturbations do not change."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._core import unit_scale
from ._singular_values import singular_values
from ._spec import Known, MetricSpec


@jax.jit
def stable_rank(x: Float[Array, "row column"]) -> Float[Array, ""]:
    """Squared Frobenius norm over squared spectral norm: Σσ² / σ₁².

    In [1, rank] directions, and 0 if `x` is all zero (Rudelson & Vershynin 2007).
    Unchanged by rotation, scale and transposition. A large square matrix of independent
    normal entries has a quarter of its size.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(stable_rank(jnp.eye(4))), 4)
        4.0
    """
    return _of_spectrum(singular_values(x))


def _of_spectrum(s: Array) -> Array:
    # Divided first: squares of tiny or huge values would leave float32's range.
    return jnp.square(s / unit_scale(s)).sum()


SPEC = MetricSpec(
    name="stable_rank",
    summary="squared Frobenius norm over squared spectral norm",
    fn=stable_rank,
    kind="spectrum",
    bounds=(0.0, None),
    units="directions",
    paper="Rudelson & Vershynin 2007",
    invariant_to=frozenset({"scale", "rotation", "transpose"}),
    known=(
        Known(lambda: (jnp.eye(6),), 6.0),
        Known(lambda: (jnp.ones((6, 3)),), 1.0),
        Known(lambda: (jnp.zeros((6, 3)),), 0.0),
        Known(lambda: (jr.normal(jr.key(0), (400, 400)),), 100.0, 0.04),
    ),
    of_spectrum=_of_spectrum,
)
