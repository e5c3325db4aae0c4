"""Participation ratio: the dimension of a cloud of activations."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._core import at_least_float32, ratio, unit_scale
from ._spec import Known, MetricSpec


@jax.jit
def participation_ratio(x: Float[Array, "example feature"]) -> Float[Array, ""]:
    """In how many directions examples vary: (Σλ)² / Σλ² of their covariance.

    In [1, min(example - 1, feature)] directions, and 0 if all examples are alike (Gao
    et al. 2017). Unchanged by rotation of features, scale and translation. Independent
    normal features give 1 / PR = 1 / feature + 1 / (example - 1).

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.concatenate([jnp.eye(3), -jnp.eye(3)])
        >>> round(float(participation_ratio(x)), 4)
        3.0
    """
    wide = at_least_float32(x)
    centred = wide - wide.mean(axis=0, keepdims=True)
    # Traces of the covariance and of its square need no eigenvalues.
    unit = centred / unit_scale(centred)
    short = unit if unit.shape[0] <= unit.shape[1] else unit.T
    gram = jnp.matmul(short, short.T, precision=jax.lax.Precision.HIGHEST)
    return ratio(jnp.square(jnp.trace(gram)), jnp.square(gram).sum(), empty=0)


SPEC = MetricSpec(
    name="participation_ratio",
    summary="in how many directions examples vary",
    fn=participation_ratio,
    kind="array",
    bounds=(0.0, None),
    units="directions",
    paper="Gao et al. 2017",
    invariant_to=frozenset(
        {"scale", "feature_rotation", "translation", "example_order"}
    ),
    known=(
        Known(lambda: (jnp.concatenate([jnp.eye(4), -jnp.eye(4)]),), 4.0),
        Known(lambda: (jnp.ones((5, 3)),), 0.0),
        Known(
            lambda: (jr.normal(jr.key(0), (200, 100)),), 1 / (1 / 100 + 1 / 199), 0.02
        ),
    ),
)
