"""Singular values of one matrix: exact, or fast where that is as good."""

import functools
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import at_least_float32

# From a Gram matrix a singular value s comes with a relative error of about
# eps (s_1 / s)^2 / 2; above this ratio of squares that is below 1e-4.
WELL_CONDITIONED = 1e-3


@functools.partial(jax.jit, static_argnames="method")
def singular_values(
    x: Float[Array, "row column"], *, method: Literal["svd", "gram", "auto"] = "svd"
) -> Float[Array, " rank"]:
    """Singular values of `x`, descending; as many as the shorter side has entries.

    Args:
        x: The matrix; computed in float32 or wider.
        method: `svd` is accurate to rounding of the largest value. `gram` takes roots
            of the eigenvalues of x xᵀ, several times as fast on a CPU, and loses values
            below about 3e-4 of the largest in float32. `auto` takes `gram` and keeps it
            if the smallest value is at least 0.03 of the largest (relative error below
            1e-4), else computes `svd`; under `vmap` it costs both.

    Example:
        >>> import jax.numpy as jnp
        >>> singular_values(jnp.diag(jnp.array([3.0, 4.0]))).tolist()
        [4.0, 3.0]
    """
    wide = at_least_float32(x)
    if method == "svd":
        return jnp.linalg.svd(wide, compute_uv=False)
    squares = _gram_eigenvalues(wide)
    fast = jnp.sqrt(jnp.maximum(squares, 0))
    if method == "gram":
        return fast
    good = squares[-1] > WELL_CONDITIONED * squares[0]
    return jax.lax.cond(
        good, lambda: fast, lambda: jnp.linalg.svd(wide, compute_uv=False)
    )


def _gram_eigenvalues(x: Array) -> Array:
    """Descending eigenvalues of the smaller Gram matrix."""
    short = x if x.shape[0] <= x.shape[1] else x.T
    gram = jnp.matmul(short, short.T, precision=jax.lax.Precision.HIGHEST)
    return jnp.linalg.eigvalsh(gram, symmetrize_input=False)[::-1]
