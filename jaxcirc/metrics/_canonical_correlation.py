"""Similarities from canonical correlations: SVCCA and PWCCA."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import ratio
from ._representations import (
    HIGHEST,
    MIXED,
    ROTATED,
    Directions,
    check_examples,
    directions,
    gaussian,
    paired,
)
from ._spec import Known, MetricSpec, Similarity

VARIANCE_KEPT = 0.99


@jax.jit
def svcca(
    x: Float[Array, "example feature_x"], y: Float[Array, "example_y feature_y"]
) -> Similarity:
    """Mean canonical correlation of the directions that hold 99% of the variance.

    In [0, 1] (Raghu et al. 2017). 1 for x Q c + b; where all directions are kept also
    under an invertible map of features. Chance is the root of the mean squared
    correlation of unrelated representations, √(max(k, l) / (n - 1)) with k and l
    directions kept; the mean itself lies a little below.

    Args:
        x: One representation of the examples.
        y: Another one of the same examples.

    Returns:
        The similarity and its chance level. NaN if either is constant.

    Raises:
        ValueError: fewer than four examples, other numbers of them, or not more
            examples than features: any two representations are then perfectly
            correlated.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0], [-1.0], [1.0], [-1.0]])
        >>> y = jnp.array([[1.0], [1.0], [-1.0], [-1.0]])
        >>> round(float(svcca(x, x + y).value), 4)  # correlated by 1 / √2
        0.7071
    """
    return _svcca(x, y)


@jax.jit
def pwcca(
    x: Float[Array, "example feature_x"], y: Float[Array, "example_y feature_y"]
) -> Similarity:
    """Mean canonical correlation, weighted by how much of `x` each variate holds.

    In [0, 1]: Σ α ρ / Σ α with α_i = Σ_j |⟨h_i, x_j⟩| over the canonical variates h of
    centred `x` (Morcos et al. 2018, section 3). 1 if `y` is an invertible map of `x`;
    unchanged by translation and by any invertible map of `y`, but not by a rotation of
    `x`, whose single features weigh. Not symmetric: it asks how much of `x` is in `y`.
    Directions that are numerically zero are left out. Its chance level is that of
    `svcca`, with all directions kept.

    Args:
        x: The representation whose variates weigh.
        y: Another one of the same examples.

    Returns:
        The similarity and its chance level. NaN if either is constant.

    Raises:
        ValueError: fewer than four examples, other numbers of them, or not more
            examples than features.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0], [-1.0], [1.0], [-1.0]])
        >>> y = jnp.array([[1.0], [1.0], [-1.0], [-1.0]])
        >>> round(float(pwcca(x, x + y).value), 4)  # correlated by 1 / √2
        0.7071
    """
    return _pwcca(x, y)


def _prepare(x: Array, *, name: str) -> Directions:
    check_examples(name, x)
    n, p = x.shape
    if p >= n:
        raise ValueError(
            f"{name}: needs more examples (rows) than features; got {x.shape}, and any "
            "two such representations are perfectly correlated. Take at least "
            f"{p + 1} examples, or use `cka`."
        )
    return directions(x)


def _correlate(a: Directions, b: Directions, keep_a: Array, keep_b: Array):
    """Canonical vectors of `a`, and correlations; what is not kept gives 0."""
    left = a.basis * keep_a.astype(a.basis.dtype)[None, :]
    right = b.basis * keep_b.astype(b.basis.dtype)[None, :]
    product = jnp.matmul(left.T, right, precision=HIGHEST)
    # Columns that were set to zero correlate with nothing, so shapes stay fixed.
    vectors, correlations, _ = jnp.linalg.svd(product, full_matrices=False)
    return left, vectors, jnp.clip(correlations, 0, 1)


def _chance(a: Directions, keep_a: Array, keep_b: Array) -> Array:
    n = a.basis.shape[0]
    most = jnp.maximum(keep_a.sum(), keep_b.sum()).astype(a.basis.dtype)
    return jnp.sqrt(jnp.minimum(most / (n - 1), 1))


def _compare_svcca(a: Directions, b: Directions) -> Similarity:
    keep_a, keep_b = _main_directions(a), _main_directions(b)
    _, _, correlations = _correlate(a, b, keep_a, keep_b)
    number = jnp.minimum(keep_a.sum(), keep_b.sum()).astype(correlations.dtype)
    value = ratio(correlations.sum(), number, empty=jnp.nan)
    return Similarity(value, _chance(a, keep_a, keep_b))


def _main_directions(a: Directions) -> Array:
    """The first directions that together hold 99% of the variance."""
    variance = jnp.square(a.values)
    # Up to but without itself: the direction that crosses 99% still counts.
    before = jnp.cumsum(variance) - variance
    return a.kept & (before < VARIANCE_KEPT * variance.sum())


def _compare_pwcca(a: Directions, b: Directions) -> Similarity:
    basis, vectors, correlations = _correlate(a, b, a.kept, b.kept)
    variates = jnp.matmul(basis, vectors, precision=HIGHEST)
    along = jnp.matmul(variates.T, a.centred, precision=HIGHEST)
    weights = jnp.abs(along).sum(axis=1)
    # With nothing kept of `y` there is no correlation to weigh, and the answer is NaN.
    total = jnp.where(b.kept.any(), weights.sum(), 0)
    value = ratio((weights * correlations).sum(), total, empty=jnp.nan)
    return Similarity(value, _chance(a, a.kept, b.kept))


_prepare_svcca = functools.partial(_prepare, name="svcca")
_prepare_pwcca = functools.partial(_prepare, name="pwcca")
_svcca = paired("svcca", _prepare_svcca, _compare_svcca)
_pwcca = paired("pwcca", _prepare_pwcca, _compare_pwcca)

_SHARED = {"kind": "similarity", "bounds": (0.0, 1.0), "units": ""}
SVCCA = MetricSpec(
    name="svcca",
    summary="mean canonical correlation of the directions with 99% of the variance",
    fn=svcca,
    paper="Raghu et al. 2017",
    invariant_to=frozenset(
        {"scale", "feature_rotation", "translation", "example_order", "exchange"}
    ),
    # Unrelated: √(k / (n - 1)) is the root mean square; the mean is 0.85 of that here.
    known=(ROTATED, Known(lambda: gaussian(400, 10, 10), 0.134, 0.03)),
    data=("activations", "gradients"),
    prepare=_prepare_svcca,
    compare=_compare_svcca,
    **_SHARED,
    at_zero=float("nan"),
)
PWCCA = MetricSpec(
    name="pwcca",
    summary="canonical correlation weighted by how much of x each variate holds",
    fn=pwcca,
    paper="Morcos et al. 2018",
    invariant_to=frozenset({"scale", "translation", "example_order", "invertible_y"}),
    known=(ROTATED, MIXED),
    data=("activations", "gradients"),
    prepare=_prepare_pwcca,
    compare=_compare_pwcca,
    **_SHARED,
    at_zero=float("nan"),
)
