"""Angles between the main directions of two representations."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._representations import (
    HIGHEST,
    MIXED,
    ROTATED,
    Directions,
    check_examples,
    check_pair,
    directions,
    gaussian,
    paired,
)
from ._spec import Known, MetricSpec, Similarity

RANK = 5


@functools.partial(jax.jit, static_argnames="rank")
def principal_angles(
    x: Float[Array, "example feature_x"],
    y: Float[Array, "example_y feature_y"],
    *,
    rank: int,
) -> Float[Array, " rank"]:
    """Angles between the spans of the first `rank` principal directions, ascending.

    In [0, π/2] radians: all 0 if the spans are the same (Björck & Golub 1973). The
    spans lie in the space of examples, so features may differ in number; of two weights
    of one shape they are those of their rows.

    Args:
        x: One representation of the examples.
        y: Another one of the same examples.
        rank: Directions of each, at most the smallest size.

    Raises:
        ValueError: fewer than four examples, other numbers of them, or a rank that is
            too large.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0], [-1.0], [1.0], [-1.0]])
        >>> y = jnp.array([[1.0], [1.0], [-1.0], [-1.0]])
        >>> angle = principal_angles(x, x + y, rank=1)
        >>> round(float(jnp.rad2deg(angle)[0]), 2)
        45.0
    """
    check_examples("principal_angles", x)
    check_pair("principal_angles", x, y)
    most = min(*x.shape, *y.shape)
    if not 1 <= rank <= most:
        raise ValueError(
            f"principal_angles: `rank` must be between 1 and {most}, the smallest "
            f"size; got {rank}."
        )
    cosines = _cosines(directions(x), directions(y), rank)
    return jnp.arccos(cosines)


@jax.jit
def subspace_overlap(
    x: Float[Array, "example feature_x"], y: Float[Array, "example_y feature_y"]
) -> Similarity:
    """Mean squared cosine of the angles between the first five principal directions.

    In [0, 1]: 1 if five directions of `x` and `y` span the same space of examples, and
    rank / (n - 1) for unrelated ones. With fewer than five features, all of them. See
    `principal_angles`.

    Args:
        x: One representation of the examples.
        y: Another one of the same examples.

    Returns:
        The similarity and its chance level.

    Raises:
        ValueError: fewer than four examples, or other numbers of them.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[1.0], [-1.0], [1.0], [-1.0]])
        >>> y = jnp.array([[1.0], [1.0], [-1.0], [-1.0]])
        >>> round(float(subspace_overlap(x, x + y).value), 4)  # cos² 45°
        0.5
    """
    return _overlap(x, y)


def _prepare(x: Array) -> Directions:
    check_examples("subspace_overlap", x)
    return directions(x)


def _cosines(a: Directions, b: Directions, rank: int) -> Array:
    # A direction of rounding has a direction by chance; zeroed, it is at right angles.
    left, right = (
        (d.basis * d.kept.astype(d.basis.dtype)[None, :])[:, :rank] for d in (a, b)
    )
    product = jnp.matmul(left.T, right, precision=HIGHEST)
    # Rounding takes cosines above 1, where there is no angle.
    return jnp.clip(jnp.linalg.svd(product, compute_uv=False), 0, 1)


def _compare(a: Directions, b: Directions) -> Similarity:
    rank = min(RANK, len(a.values), len(b.values))
    value = jnp.square(_cosines(a, b, rank)).mean()
    n = a.basis.shape[0]
    return Similarity(value, jnp.full_like(value, min(rank / (n - 1), 1)))


_overlap = paired("subspace_overlap", _prepare, _compare)

SPEC = MetricSpec(
    name="subspace_overlap",
    summary="mean squared cosine between the first five principal directions",
    fn=subspace_overlap,
    kind="similarity",
    bounds=(0.0, 1.0),
    units="",
    paper="Björck & Golub 1973",
    invariant_to=frozenset(
        {"scale", "feature_rotation", "translation", "example_order", "exchange"}
    ),
    known=(ROTATED, MIXED, Known(lambda: gaussian(2000, 5, 5), 0.0, 0.01)),
    data=("activations", "gradients"),
    prepare=_prepare,
    compare=_compare,
)
