"""The distribution of an array's entries: moments and extremes."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._core import at_least_float32, ratio, root, unit_scale
from ._spec import Invariance, Known, MetricSpec


@jax.jit
def mean(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Mean of all entries, in the units of `x` and of either sign.

    It is taken in float32 or wider. Unchanged by order; a common factor or shift of all
    entries is one of the mean.

    Args:
        x: Entries of any shape.

    Example:
        >>> import jax.numpy as jnp
        >>> float(mean(jnp.array([1.0, 2.0, 6.0])))
        3.0
    """
    return at_least_float32(x).mean()


@jax.jit
def standard_deviation(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Root of the mean squared distance from the mean, in [0, inf).

    In the units of `x`; divided by the number of entries, not by one less. 0 where all
    are equal, with gradient 0 there. Unchanged by order, sign and a common shift.

    Args:
        x: Entries of any shape.

    Example:
        >>> import jax.numpy as jnp
        >>> float(standard_deviation(jnp.array([1.0, 5.0])))
        2.0
    """
    wide = at_least_float32(x)
    return root(jnp.square(wide - wide.mean()).mean())


@jax.jit
def root_mean_square(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Typical size of an entry: the root of the mean of squares, in [0, inf).

    In the units of `x`; the Frobenius norm over the root of the number of entries, so
    that arrays of different size compare. Unchanged by order, sign and rotation.

    Args:
        x: Entries of any shape.

    Example:
        >>> import jax.numpy as jnp
        >>> float(root_mean_square(jnp.array([3.0, -3.0])))
        3.0
    """
    return root(jnp.square(at_least_float32(x)).mean())


@jax.jit
def kurtosis(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Excess kurtosis: how heavy the tails are, beyond a normal distribution's.

    The fourth central moment over the squared variance, minus 3 (Fisher's definition).
    In [-2, inf): 0 for normal entries, 3 for Laplace, -1.2 for uniform; NaN where all
    entries are equal. Unchanged by scale, sign, order and a common shift.

    Example:
        >>> import jax.numpy as jnp
        >>> float(kurtosis(jnp.array([1.0, -1.0])))
        -2.0
    """
    wide = at_least_float32(x)
    centred = wide - wide.mean()
    # Fourth powers of tiny or huge entries would leave float32's range.
    square = jnp.square(centred / unit_scale(centred))
    return (
        ratio(jnp.square(square).mean(), jnp.square(square.mean()), empty=jnp.nan) - 3
    )


@jax.jit
def sparsity(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Share of entries that are exactly zero, in [0, 1].

    Behind a ReLU these are the units that do not fire. Where nothing makes exact zeros
    it is 0: `gini` and `hoyer` grade how few entries matter.

    Args:
        x: Entries of any shape.

    Example:
        >>> import jax.numpy as jnp
        >>> float(sparsity(jnp.eye(4)))
        0.75
    """
    return (x == 0).astype(jnp.float32).mean()


@jax.jit
def dead_units(x: Float[Array, "example unit"]) -> Float[Array, ""]:
    """Share of units that are zero or less on every example, in [0, 1].

    For activations behind a ReLU: units that never fire here. Unchanged by positive
    scale and by the order of examples and units.

    Example:
        >>> import jax.numpy as jnp
        >>> float(dead_units(jnp.array([[0.0, 1.0], [0.0, 0.0]])))
        0.5
    """
    return (x.max(axis=0) <= 0).astype(jnp.float32).mean()


@jax.jit
def massive_activation_ratio(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Largest absolute entry over the median one (Sun et al. 2024).

    In [1, inf]; above 1000 they call an activation massive. Infinite where more than
    half of the entries are zero, and NaN where all are. Unchanged by scale, sign,
    order.

    Example:
        >>> import jax.numpy as jnp
        >>> float(massive_activation_ratio(jnp.array([1.0, -2.0, 8.0])))
        4.0
    """
    # Divided as it is: a median of 0 makes the ratio infinite, which is the answer.
    size = jnp.abs(at_least_float32(x))
    return size.max() / jnp.median(size)


_ORDER: frozenset[Invariance] = frozenset({"order", "transpose"})
_NORMAL = lambda: (jr.normal(jr.key(0), (50_000,)),)
_CONSTANT = lambda: (jnp.full((4, 4), 3.0),)

MEAN = MetricSpec(
    name="mean",
    summary="mean of all entries",
    fn=mean,
    kind="array",
    bounds=(-float("inf"), None),
    units="",
    paper="",
    invariant_to=_ORDER,
    known=(Known(_CONSTANT, 3.0),),
)
STANDARD_DEVIATION = MetricSpec(
    name="standard_deviation",
    summary="spread of all entries",
    fn=standard_deviation,
    kind="array",
    bounds=(0.0, None),
    units="",
    paper="",
    invariant_to=_ORDER.union({"sign"}),
    known=(Known(_CONSTANT, 0.0), Known(_NORMAL, 1.0, 0.02)),
)
ROOT_MEAN_SQUARE = MetricSpec(
    name="root_mean_square",
    summary="typical size of an entry",
    fn=root_mean_square,
    kind="array",
    bounds=(0.0, None),
    units="",
    paper="",
    invariant_to=_ORDER.union({"sign", "rotation"}),
    known=(Known(_CONSTANT, 3.0), Known(_NORMAL, 1.0, 0.02)),
)
KURTOSIS = MetricSpec(
    name="kurtosis",
    summary="heaviness of the tails, beyond a normal distribution's",
    fn=kurtosis,
    kind="array",
    bounds=(-2.0, None),
    units="",
    paper="Fisher 1930",
    invariant_to=_ORDER.union({"scale", "sign"}),
    known=(
        Known(lambda: (jr.laplace(jr.key(2), (200_000,)),), 3.0, 0.05),
        Known(lambda: (jr.uniform(jr.key(0), (50_000,)),), -1.2, 0.02),
        Known(lambda: (3 + _NORMAL()[0],), 0.0, 0.05),
    ),
    at_zero=float("nan"),
)
SPARSITY = MetricSpec(
    name="sparsity",
    summary="share of entries that are exactly zero",
    fn=sparsity,
    kind="array",
    bounds=(0.0, 1.0),
    units="share",
    paper="",
    invariant_to=_ORDER.union({"scale", "sign"}),
    known=(Known(lambda: (jnp.eye(4),), 0.75),),
    at_zero=1.0,
    counts=True,
)
DEAD_UNITS = MetricSpec(
    name="dead_units",
    summary="share of units that are zero or less on every example",
    fn=dead_units,
    kind="array",
    bounds=(0.0, 1.0),
    units="share",
    paper="",
    invariant_to=frozenset({"example_order"}),
    known=(
        Known(lambda: (jnp.eye(4)[:, :3],), 0.0),
        Known(lambda: (jnp.zeros((4, 3)),), 1.0),
        Known(lambda: (jnp.array([[0.0, 1.0], [0.0, -1.0]]),), 0.5),
    ),
    data=("activations",),
    at_zero=1.0,
    counts=True,
)
MASSIVE_ACTIVATION_RATIO = MetricSpec(
    name="massive_activation_ratio",
    summary="largest absolute entry over the median one",
    fn=massive_activation_ratio,
    kind="array",
    bounds=(1.0, None),
    units="",
    paper="Sun et al. 2024",
    invariant_to=_ORDER.union({"scale", "sign"}),
    known=(
        Known(_CONSTANT, 1.0),
        # The median of |N| is 0.6745.
        Known(lambda: (_NORMAL()[0].at[0].set(1000.0),), 1000 / 0.6745, 0.02),
    ),
    at_zero=float("nan"),
)
