"""OV and QK products: copying, matching and composition of heads.

Rows are vectors of the residual stream, so a head writes x W_V W_O and attends by
x_query W_Q W_Kᵀ x_keyᵀ. Products of that size are never formed. Normalisation is
ignored, as in the paper: weights into which it has been folded are for the caller to
give.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import at_least_float32, ratio

_HIGHEST = jax.lax.Precision.HIGHEST


@jax.jit
def copying_score(
    W_E: Float[Array, "d_vocab d_model"],
    W_V: Float[Array, "d_model d_head"],
    W_O: Float[Array, "d_head d_model"],
    W_U: Float[Array, "d_model d_vocab"],
) -> Float[Array, ""]:
    """Does a head raise the logits of the tokens that it reads?

    Σλ / Σ|λ| over the eigenvalues of W_E W_V W_O W_U.

    In [-1, 1]: 1 if every token raises its own logit, -1 if it lowers it, about 0 by
    chance (Elhage et al. 2021, "Summarizing OV/QK matrices"). Eigenvalues are those of
    the d_head × d_head matrix W_O W_U W_E W_V. NaN for a head of zeros.

    Args:
        W_E: Embedding.
        W_V: The head's values.
        W_O: The head's output.
        W_U: Unembedding.

    Example:
        >>> import jax.numpy as jnp
        >>> one, tokens = jnp.array([[1.0], [0.0]]), jnp.eye(2)
        >>> float(copying_score(tokens, one, one.T, tokens))
        1.0
        >>> float(copying_score(tokens, one, -one.T, tokens))
        -1.0
    """
    # Without a head axis, so that under `vmap` over heads it is computed once.
    tokens = _product(at_least_float32(W_U), at_least_float32(W_E))
    return _sign_of_eigenvalues(_product(at_least_float32(W_O), tokens, W_V))


@jax.jit
def matching_score(
    W_E: Float[Array, "d_vocab d_model"],
    W_Q: Float[Array, "d_model d_head"],
    W_K: Float[Array, "d_model d_head"],
) -> Float[Array, ""]:
    """Does a head attend to the kind of token that it sits on?

    Σλ / Σ|λ| over the eigenvalues of W_E W_Q W_Kᵀ W_Eᵀ.

    In [-1, 1]: 1 if every token attends to its own kind, about 0 by chance. Positions
    are left out; with rotary ones give W_Q turned by the offset. NaN for a head of
    zeros.

    Args:
        W_E: Embedding.
        W_Q: The head's queries.
        W_K: The head's keys.

    Example:
        >>> import jax.numpy as jnp
        >>> W_Q = jnp.array([[1.0], [0.0]])
        >>> float(matching_score(jnp.eye(2), W_Q, -W_Q))  # it attends to all others
        -1.0
    """
    wide = at_least_float32(W_E)
    return _sign_of_eigenvalues(_product(W_K.T, _product(wide.T, wide), W_Q))


@jax.jit
def composition_score(
    W_V: Float[Array, "d_model d_head"],
    W_O: Float[Array, "d_head d_model"],
    read: Float[Array, "d_model d_read"],
    rest: Float[Array, "d_read d_model"],
) -> Float[Array, ""]:
    """How much of what one head writes another reads: |A B| / (|A| |B|), Frobenius.

    A = W_V W_O of the earlier head; B = `read` `rest` of the later one: W_Q W_Kᵀ for
    Q-composition, W_K W_Qᵀ for K-composition, W_V W_O for V-composition (Elhage et al.
    2021). In [0, 1]; 1 / √d_model on average for unrelated heads of any rank, which is
    to be subtracted. NaN if either is zero.

    Args:
        W_V: Values of the earlier head.
        W_O: Output of the earlier head.
        read: What the later head reads with.
        rest: The rest of its product.

    Example:
        >>> import jax.numpy as jnp
        >>> e1, e2 = jnp.eye(2)[:, :1], jnp.eye(2)[:, 1:]
        >>> float(composition_score(e1, e2.T, e2, e1.T))  # writes what the other reads
        1.0
        >>> float(composition_score(e1, e2.T, e1, e1.T))
        0.0
    """
    # Triangular factors have the norms of the long ones.
    start = jnp.linalg.qr(at_least_float32(W_V), mode="r")
    end = jnp.linalg.qr(at_least_float32(rest).T, mode="r").T
    write_out, read_in = at_least_float32(W_O), at_least_float32(read)
    both = _product(start, _product(write_out, read_in), end)
    writer, reader = _product(start, write_out), _product(read_in, end)
    return _norm(both) / (_norm(writer) * _norm(reader))


def _sign_of_eigenvalues(x: Array) -> Array:
    wide = at_least_float32(x)
    # What a decomposition makes of NaN differs between platforms: it never sees one,
    # and the trace below brings it back.
    some = jnp.isfinite(wide).all()
    eigenvalues = jnp.linalg.eigvals(jnp.where(some, wide, 0))
    # Their sum is the trace, which is real.
    return ratio(jnp.trace(wide), jnp.abs(eigenvalues).sum(), empty=jnp.nan)


def _product(*factors: Array) -> Array:
    result = at_least_float32(factors[0])
    for factor in factors[1:]:
        result = jnp.matmul(result, at_least_float32(factor), precision=_HIGHEST)
    return result


def _norm(x: Array) -> Array:
    return jnp.sqrt(jnp.square(x).sum())
