"""How unequal the entries of an array are."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._core import at_least_float32, ratio, root, unit_scale
from ._spec import Known, MetricSpec


@jax.jit
def gini(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Inequality of absolute entries: Σ (2i - n - 1) |x|_(i) / (n Σ |x|), sorted.

    In [0, (n - 1) / n]: 0 where all are equal (also where all are zero), the largest
    where one entry has everything (Hurley & Rickard 2009, eq. 11). Uniform entries have
    1/3, exponential 1/2, normal √2 - 1. Unchanged by scale, sign and order.

    Example:
        >>> import jax.numpy as jnp
        >>> round(float(gini(jnp.array([0.0, 0.0, 0.0, 5.0]))), 4)
        0.75
    """
    # Ranks in float32 whatever the input's type: bfloat16 cannot count beyond 256.
    v = jnp.sort(jnp.abs(at_least_float32(x)).ravel())
    n = v.size
    rank = jnp.arange(1, n + 1, dtype=v.dtype)
    weights = (2 * rank - n - 1) / n
    return ratio((weights * v).sum(), v.sum(), empty=0)


@jax.jit
def hoyer(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Sparsity: (√n - |x|₁ / |x|₂) / (√n - 1).

    In [0, 1]: 0 where all absolute entries are equal (also where all are zero, and for
    a single entry), 1 where only one is not zero (Hoyer 2004). Normal entries have
    1 - √(2/π) = 0.2021. Unchanged by scale, sign and order.

    Example:
        >>> import jax.numpy as jnp
        >>> float(hoyer(jnp.array([0.0, 0.0, 3.0, 0.0])))
        1.0
    """
    v = jnp.abs(at_least_float32(x)).ravel()
    most = v.size**0.5
    if v.size == 1:
        return jnp.zeros((), v.dtype)
    unit = v / unit_scale(v)
    # A zero array has √n here, as an array of equal entries has, and comes out as 0.
    norms = ratio(unit.sum(), root(jnp.square(unit).sum()), empty=most)
    return jnp.clip((most - norms) / (most - 1), 0, 1)


_SHARED = {
    "kind": "array",
    "bounds": (0.0, 1.0),
    "units": "",
    "invariant_to": frozenset({"scale", "sign", "order", "transpose"}),
}
GINI = MetricSpec(
    name="gini",
    summary="inequality of absolute entries",
    fn=gini,
    paper="Hurley & Rickard 2009",
    known=(
        Known(lambda: (jnp.ones((3, 4)),), 0.0),
        Known(lambda: (jnp.zeros((3, 4)),), 0.0),
        Known(lambda: (jnp.zeros(8).at[3].set(2.0),), 7 / 8),
        Known(lambda: (jr.uniform(jr.key(0), (20_000,)),), 1 / 3, 0.02),
        Known(lambda: (jr.exponential(jr.key(0), (20_000,)),), 1 / 2, 0.02),
        Known(lambda: (jr.normal(jr.key(0), (20_000,)),), 2**0.5 - 1, 0.02),
    ),
    **_SHARED,
)
HOYER = MetricSpec(
    name="hoyer",
    summary="sparsity from the ratio of 1-norm and 2-norm",
    fn=hoyer,
    paper="Hoyer 2004",
    known=(
        Known(lambda: (jnp.zeros(8).at[3].set(2.0),), 1.0),
        Known(lambda: (jnp.ones((3, 4)),), 0.0),
        Known(lambda: (jnp.zeros((3, 4)),), 0.0),
        Known(lambda: (jr.normal(jr.key(0), (20_000,)),), 0.2021, 0.02),
    ),
    **_SHARED,
)
