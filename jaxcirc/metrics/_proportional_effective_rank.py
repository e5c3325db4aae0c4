"""Effective rank as a share of what could be had."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from . import _effective_rank
from ._singular_values import singular_values
from ._spec import Known, MetricSpec


@jax.jit
def proportional_effective_rank(x: Float[Array, "row column"]) -> Float[Array, ""]:
    """Effective rank of `x` over the largest that its shape allows.

    In [0, 1]: 0 for a zero matrix, 1 where all singular values are equal (Diehl
    Martinez et al. 2024, arXiv:2410.11451). For the product of two factors the largest
    is their inner size, which `components` take into account. Unchanged by rotation,
    scale and transposition.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(proportional_effective_rank(jnp.ones((2, 4)))), 4)
        0.5
    """
    return _of_spectrum(singular_values(x))


def _of_spectrum(s: Array) -> Array:
    # The other row's own function, so that one decomposition serves both.
    whole = _effective_rank.SPEC.of_spectrum
    assert whole is not None
    return whole(s) / len(s)


SPEC = MetricSpec(
    name="proportional_effective_rank",
    summary="effective rank over the largest that the shape allows",
    fn=proportional_effective_rank,
    kind="spectrum",
    bounds=(0.0, 1.0),
    units="share",
    paper="Diehl Martinez et al. 2024",
    invariant_to=frozenset({"scale", "rotation", "transpose"}),
    known=(
        Known(lambda: (jnp.eye(5),), 1.0),
        Known(lambda: (jnp.eye(3, 7),), 1.0),
        Known(lambda: (jnp.ones((6, 3)),), 1 / 3),
        Known(lambda: (jnp.zeros((6, 3)),), 0.0),
    ),
    of_spectrum=_of_spectrum,
)
