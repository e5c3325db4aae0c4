"""Five norms, each under a name that says which."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float

from .._core import at_least_float32, root, unit_scale
from ._singular_values import singular_values
from ._spec import Known, MetricSpec


@jax.jit
def frobenius_norm(x: Float[Array, "..."]) -> Float[Array, ""]:
    """Length of `x` as one vector: the root of the sum of its squares.

    In [0, inf), in the units of `x`; unchanged by rotation. Computed after dividing by
    the largest entry, so that neither tiny nor huge entries are lost.

    Example:
        >>> import jax.numpy as jnp
        >>> float(frobenius_norm(jnp.array([[3.0], [4.0]])))
        5.0
    """
    wide = at_least_float32(x)
    unit = unit_scale(wide)
    return unit * root(jnp.square(wide / unit).sum())


@jax.jit
def spectral_norm(x: Float[Array, "row column"]) -> Float[Array, ""]:
    """How much `x` can lengthen a vector: its largest singular value.

    In [0, inf), in the units of `x`; unchanged by rotation and transposition. Of a
    square matrix of n² independent standard normal entries it is about 2√n, the
    nearer the larger n is.

    Example:
        >>> import jax.numpy as jnp
        >>> float(spectral_norm(jnp.diag(jnp.array([3.0, -4.0]))))
        4.0
    """
    return singular_values(x)[0]


@jax.jit
def nuclear_norm(x: Float[Array, "row column"]) -> Float[Array, ""]:
    """Sum of the singular values.

    In [0, inf), in the units of `x`; between the Frobenius norm and that times the root
    of the rank. Among matrices that lengthen no vector it is the largest convex
    function below the rank (Fazel 2002). Unchanged by rotation and transposition.

    Args:
        x: The matrix; computed in float32 or wider.

    Example:
        >>> import jax.numpy as jnp
        >>> float(nuclear_norm(jnp.diag(jnp.array([3.0, -4.0]))))
        7.0
    """
    return singular_values(x).sum()


@jax.jit
def max_norm(x: Float[Array, "..."]) -> Float[Array, ""]:
    """The largest entry by absolute value, in [0, inf), in the units of `x`.

    It is not the operator norm that is written with the same index: for that see
    `operator_inf_norm`. Unchanged by sign, order and transposition; a single outlier
    decides it.

    Args:
        x: Entries of any shape.

    Example:
        >>> import jax.numpy as jnp
        >>> float(max_norm(jnp.array([[1.0, 2.0], [3.0, 4.0]])))
        4.0
    """
    return jnp.abs(at_least_float32(x)).max()


@jax.jit
def operator_inf_norm(x: Float[Array, "row column"]) -> Float[Array, ""]:
    """The largest row sum of absolute values, in [0, inf), in the units of `x`.

    It is how much x v can exceed v in its largest entry: the operator norm that belongs
    to `max_norm`. Unchanged by sign and by the order of rows and columns, but neither
    by transposition nor by rotation.

    Args:
        x: The matrix, which is applied to columns.

    Example:
        >>> import jax.numpy as jnp
        >>> float(operator_inf_norm(jnp.array([[1.0, 2.0], [3.0, 4.0]])))
        7.0
    """
    # Widened before the sum: half precision would lose the small entries of long rows.
    return jnp.abs(at_least_float32(x)).sum(axis=-1).max()


_TEXTBOOK = "Golub & Van Loan 2013, section 2.3"
_ONE_TO_FOUR = lambda: (jnp.array([[1.0, 2.0], [3.0, 4.0]]),)

FROBENIUS = MetricSpec(
    name="frobenius_norm",
    summary="root of the sum of squares",
    fn=frobenius_norm,
    kind="array",
    bounds=(0.0, None),
    units="",
    paper=_TEXTBOOK,
    invariant_to=frozenset({"sign", "rotation", "order", "transpose"}),
    known=(Known(_ONE_TO_FOUR, 30**0.5), Known(lambda: (jnp.zeros((2, 2)),), 0.0)),
)
SPECTRAL = MetricSpec(
    name="spectral_norm",
    summary="largest singular value",
    fn=spectral_norm,
    kind="spectrum",
    bounds=(0.0, None),
    units="",
    paper=_TEXTBOOK,
    invariant_to=frozenset({"sign", "rotation", "transpose"}),
    known=(
        Known(lambda: (jnp.linalg.qr(jr.normal(jr.key(1), (7, 7)))[0],), 1.0),
        Known(lambda: (jr.normal(jr.key(0), (400, 400)) / 20,), 2.0, 0.02),
    ),
    of_spectrum=lambda s: s[0],
)
NUCLEAR = MetricSpec(
    name="nuclear_norm",
    summary="sum of the singular values",
    fn=nuclear_norm,
    kind="spectrum",
    bounds=(0.0, None),
    units="",
    paper=_TEXTBOOK,
    invariant_to=frozenset({"sign", "rotation", "transpose"}),
    known=(
        Known(lambda: (jnp.diag(jnp.array([3.0, -4.0, 0.0])),), 7.0),
        # For a 2 × 2 matrix: √(‖x‖² + 2 |det x|).
        Known(_ONE_TO_FOUR, 34**0.5),
    ),
    of_spectrum=lambda s: s.sum(),
)
MAX = MetricSpec(
    name="max_norm",
    summary="largest entry by absolute value",
    fn=max_norm,
    kind="array",
    bounds=(0.0, None),
    units="",
    paper=_TEXTBOOK,
    invariant_to=frozenset({"sign", "order", "transpose"}),
    known=(Known(_ONE_TO_FOUR, 4.0),),
)
OPERATOR_INF = MetricSpec(
    name="operator_inf_norm",
    summary="largest row sum of absolute values",
    fn=operator_inf_norm,
    kind="array",
    bounds=(0.0, None),
    units="",
    paper=_TEXTBOOK,
    invariant_to=frozenset({"sign"}),
    known=(Known(_ONE_TO_FOUR, 7.0),),
)
