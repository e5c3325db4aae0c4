"""Representational similarity analysis: do distances between examples agree?"""

import jax
import jax.numpy as jnp
import jax.scipy.stats as jss
import numpy as np
from jaxtyping import Array, Float

from ._representations import (
    HIGHEST,
    centre,
    check_examples,
    gaussian,
    paired,
    rotated_copy,
)
from ._spec import Known, MetricSpec, Similarity


@jax.jit
def rsa(
    x: Float[Array, "example feature_x"], y: Float[Array, "example_y feature_y"]
) -> Similarity:
    """Rank correlation of the distances between all pairs of examples.

    Spearman's ρ of the upper triangles of the two matrices of Euclidean distances
    (Kriegeskorte et al. 2008). In [-1, 1]: 1 for x Q c + b, 0 for unrelated
    representations. Needs memory for n (n - 1) / 2 distances.

    Args:
        x: One representation of the examples.
        y: Another one of the same examples.

    Returns:
        The similarity and its chance level, 0. NaN if either has equal distances only.

    Raises:
        ValueError: fewer than four examples, or other numbers of them.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.array([[0.0], [1.0], [3.0], [7.0]])
        >>> round(float(rsa(x, 5 - 2 * x).value), 4)
        1.0
    """
    return _rsa(x, y)


def _prepare(x: Array) -> Float[Array, " pair"]:
    """Ranks of distances, centred and of length 1."""
    check_examples("rsa", x)
    centred = centre(x)
    squares = jnp.square(centred).sum(axis=1)
    # |a|² + |b|² - 2 a·b: differences of all pairs would take the features' memory too.
    gram = jnp.matmul(centred, centred.T, precision=HIGHEST)
    distance = squares[:, None] + squares[None, :] - 2 * gram
    upper = np.triu_indices(x.shape[0], 1)
    ranks = jss.rankdata(distance[upper]).astype(centred.dtype)
    # The mean first: exact in float32, so that equal distances give 0 and not rounding.
    level = (ranks - (len(ranks) + 1) / 2) / len(ranks)
    length = jnp.sqrt(jnp.square(level).sum())
    return level / length


def _compare(a: Array, b: Array) -> Similarity:
    value = jnp.clip((a * b).sum(), -1, 1)
    return Similarity(value, jnp.zeros_like(value))


_rsa = paired("rsa", _prepare, _compare)

SPEC = MetricSpec(
    name="rsa",
    summary="rank correlation of the distances between examples",
    fn=rsa,
    kind="similarity",
    bounds=(-1.0, 1.0),
    units="",
    paper="Kriegeskorte et al. 2008",
    invariant_to=frozenset(
        {"scale", "feature_rotation", "translation", "example_order", "exchange"}
    ),
    known=(
        Known(rotated_copy, 1.0, 1e-3),
        Known(lambda: gaussian(200, 20, 20), 0.0, 0.05),
    ),
    data=("activations", "gradients"),
    prepare=_prepare,
    compare=_compare,
    at_zero=float("nan"),
    smooth=False,
)
