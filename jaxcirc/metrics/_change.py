"""How an array differs from what it was at another time."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._core import at_least_float32, unit_scale
from ._norms import frobenius_norm
from ._spec import Known, MetricSpec


@jax.jit
def update_ratio(
    new: Float[Array, "*shape"], old: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """How far an array moved, relative to where it was: ‖new - old‖ / ‖old‖.

    Lengths are Frobenius norms, in float32 or wider. In [0, inf), dimensionless;
    unchanged by a common scale or rotation. NaN from a zero `old` to itself, infinite
    from a zero `old` to anything else. It is not symmetric: `old` alone divides.

    Args:
        new: The array at the later time.
        old: The same array at the earlier time, of the same shape.

    Example:
        >>> import jax.numpy as jnp
        >>> old = jnp.array([3.0, 4.0])
        >>> float(update_ratio(1.5 * old, old))
        0.5
    """
    # Widened first: a small step is less than half precision can tell of a weight.
    moved = at_least_float32(new) - at_least_float32(old)
    return frobenius_norm(moved) / frobenius_norm(old)


@jax.jit
def cosine_similarity(
    new: Float[Array, "*shape"], old: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """Cosine of the angle between two arrays, each taken as one vector.

    In [-1, 1]: 1 for the same direction, -1 for opposite ones; NaN if either is zero.
    Unrelated arrays of d entries have 0 on average, and ±1 / √d by chance. Unchanged by
    the scale of either and by a common rotation.

    Args:
        new: The array at the later time.
        old: The same array at the earlier time, of the same shape.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([1.0, 2.0])
        >>> round(float(cosine_similarity(3 * x, x)), 4)
        1.0
    """
    a, b = (_unit(at_least_float32(v)) for v in (new, old))
    # Rounding takes the product of unit vectors above 1, where there is no angle.
    return jnp.clip((a * b).sum(), -1, 1)


@jax.jit
def wasserstein(
    new: Float[Array, "*shape"], old: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """1-Wasserstein distance between the distributions of entries.

    The mean distance between sorted entries, in [0, inf), in the units of the entries:
    how much the histogram moved, whichever entry is where. Unchanged by the order of
    either; a shift of all entries by c gives |c| (Vaserstein 1969).

    Args:
        new: The array at the later time.
        old: The same array at the earlier time, of the same shape.

    Example:
        >>> import jax.numpy as jnp
        >>> float(wasserstein(jnp.array([3.0, 1.0]), jnp.array([0.0, 2.0])))
        1.0
    """
    # In one dimension the cheapest transport pairs entries by their rank.
    a, b = (jnp.sort(at_least_float32(v).ravel()) for v in (new, old))
    return jnp.abs(a - b).mean()


@jax.jit
def sign_flips(
    new: Float[Array, "*shape"], old: Float[Array, "*shape"]
) -> Float[Array, ""]:
    """Share of entries whose sign is another, in [0, 1]; 1/2 for unrelated arrays.

    Zero is a sign of its own, so a weight that leaves it counts as well. Unchanged by
    the scale of either, and by exchanging the two.

    Args:
        new: The array at the later time.
        old: The same array at the earlier time, of the same shape.

    Example:
        >>> import jax.numpy as jnp
        >>> float(sign_flips(jnp.array([1.0, -1.0]), jnp.array([2.0, 2.0])))
        0.5
    """
    return (jnp.sign(new) != jnp.sign(old)).astype(jnp.float32).mean()


def _unit(x: Array) -> Array:
    # A zero array gives NaN: it has no direction.
    near = x / unit_scale(x)
    return near / jnp.sqrt(jnp.square(near).sum())


_PAIR = lambda: (jnp.array([1.0, 2.0, 3.0]), jnp.array([1.0, 2.0, -3.0]))

UPDATE_RATIO = MetricSpec(
    name="update_ratio",
    summary="distance moved, relative to the length there",
    fn=update_ratio,
    kind="change",
    bounds=(0.0, None),
    units="",
    paper="",
    invariant_to=frozenset({"common_scale"}),
    known=(
        Known(lambda: (jnp.full((3, 3), 1.1), jnp.ones((3, 3))), 0.1, 1e-4),
        Known(lambda: (jnp.ones(3), jnp.ones(3)), 0.0),
    ),
    at_zero=float("nan"),
)
COSINE_SIMILARITY = MetricSpec(
    name="cosine_similarity",
    summary="cosine of the angle between an array and itself at the reference",
    fn=cosine_similarity,
    kind="change",
    bounds=(-1.0, 1.0),
    units="",
    paper="",
    invariant_to=frozenset({"common_scale"}),
    known=(
        Known(_PAIR, -4 / 14),
        Known(lambda: (jnp.ones(3), jnp.full(3, 7.0)), 1.0),
        Known(lambda: tuple(jr.normal(jr.key(0), (2, 40_000))), 0.0, 0.02),
    ),
    at_zero=float("nan"),
)
WASSERSTEIN = MetricSpec(
    name="wasserstein",
    summary="how much the histogram of entries moved",
    fn=wasserstein,
    kind="change",
    bounds=(0.0, None),
    units="",
    paper="Vaserstein 1969",
    invariant_to=frozenset({"exchange"}),
    known=(
        Known(lambda: (jnp.arange(6.0)[::-1], jnp.arange(6.0)), 0.0),
        Known(lambda: (jnp.arange(6.0) + 2, jnp.arange(6.0)), 2.0),
    ),
)
SIGN_FLIPS = MetricSpec(
    name="sign_flips",
    summary="share of entries whose sign is another",
    fn=sign_flips,
    kind="change",
    bounds=(0.0, 1.0),
    units="share",
    paper="",
    invariant_to=frozenset({"common_scale", "exchange"}),
    known=(
        Known(_PAIR, 1 / 3),
        Known(lambda: tuple(jr.normal(jr.key(0), (2, 20_000))), 0.5, 0.02),
    ),
    counts=True,
)
