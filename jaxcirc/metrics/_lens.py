"""How near early layers are to the final answer, once read as logits."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._core import at_least_float32


@jax.jit
def lens_divergence(
    early: Float[Array, "*position d_vocab"], final: Float[Array, "*position d_vocab"]
) -> Float[Array, ""]:
    """Mean KL divergence from an early layer's prediction to the final one, in nats.

    KL(final ‖ early), in [0, inf); 0 where they agree (nostalgebraist 2020). Unchanged
    by constants added to the logits of a position.

    Args:
        early: Logits that an early layer's residual stream is read as.
        final: Logits of the model.

    Example:
        >>> import jax.numpy as jnp
        >>> sure, fair = jnp.array([[0.0, -1e4]]), jnp.zeros((1, 2))
        >>> round(float(lens_divergence(fair, sure)), 4)  # log 2
        0.6931
    """
    return kl_divergence(final, early).mean()


@jax.jit
def kl_divergence(
    logits: Float[Array, "*position d_vocab"], other: Float[Array, "*position d_vocab"]
) -> Float[Array, "*position"]:
    """KL(p ‖ q) at every position, p and q the softmax of two sets of logits, in nats.

    Σ p (log p - log q): how much is lost by who expects q where p is true. In [0, inf),
    and 0 only where both are the same distribution. Unchanged by a constant added to
    all logits of a position; not symmetric (Kullback and Leibler 1951).

    Args:
        logits: Logits of p, which the mean is taken under.
        other: Logits of q.

    Returns:
        One number for each position, in float32 or wider.

    Example:
        >>> import jax.numpy as jnp
        >>> sure, fair = jnp.array([[0.0, -1e4]]), jnp.zeros((1, 2))
        >>> round(float(kl_divergence(sure, fair)[0]), 4)  # log 2
        0.6931
    """
    # Logarithms are subtracted: where a probability rounds to 0, its own is -inf.
    p = jax.nn.log_softmax(at_least_float32(logits))
    q = jax.nn.log_softmax(at_least_float32(other))
    return (jnp.exp(p) * (p - q)).sum(axis=-1)


@jax.jit
def lens_agreement(
    early: Float[Array, "*position d_vocab"], final: Float[Array, "*position d_vocab"]
) -> Float[Array, ""]:
    """Share of positions where an early layer puts the same token first, in [0, 1].

    It counts the first token alone, so it can be 1 where the distributions are far
    apart; `lens_divergence` compares those. By chance it is near 1 / d_vocab. Of tokens
    with the same logit the lowest id is first.

    Args:
        early: Logits that an early layer's residual stream is read as.
        final: Logits of the model.

    Example:
        >>> import jax.numpy as jnp
        >>> early = jnp.array([[1.0, 2.0], [1.0, 2.0]])
        >>> float(lens_agreement(early, jnp.array([[0.0, 9.0], [9.0, 0.0]])))
        0.5
    """
    same = jnp.argmax(early, axis=-1) == jnp.argmax(final, axis=-1)
    return same.astype(jnp.float32).mean()


@jax.jit
def answer_rank(
    logits: Float[Array, "*position d_vocab"], targets: Int[Array, "*position"]
) -> Float[Array, ""]:
    """Mean place of the right answer, in [0, d_vocab - 1]; 0 is first.

    Tokens with the same logit count half; (d_vocab - 1) / 2 by chance. NaN if a target
    is no token.

    Args:
        logits: Logits over the tokens, at every position.
        targets: The right token of every position.

    Example:
        >>> import jax.numpy as jnp
        >>> float(answer_rank(jnp.array([[3.0, 1.0, 1.0, 0.0]]), jnp.array([1])))
        1.5
    """
    size = logits.shape[-1]
    known = (targets >= 0) & (targets < size)
    # An id outside takes a neighbour's logit here, and is made NaN below.
    own = jnp.take_along_axis(logits, targets[..., None], axis=-1, mode="clip")
    above = (logits > own).sum(axis=-1).astype(jnp.float32)
    level = (logits == own).sum(axis=-1).astype(jnp.float32) - 1
    return jnp.where(known, above + level / 2, jnp.nan).mean()
