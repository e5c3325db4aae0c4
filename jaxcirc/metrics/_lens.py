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
    """
    p = jax.nn.log_softmax(at_least_float32(final))
    q = jax.nn.log_softmax(at_least_float32(early))
    return (jnp.exp(p) * (p - q)).sum(axis=-1).mean()


@jax.jit
def lens_agreement(
    early: Float[Array, "*position d_vocab"], final: Float[Array, "*position d_vocab"]
) -> Float[Array, ""]:
    """Share of positions where an early layer puts the same token first, in [0, 1]."""
    same = jnp.argmax(early, axis=-1) == jnp.argmax(final, axis=-1)
    return same.astype(jnp.float32).mean()


@jax.jit
def answer_rank(
    logits: Float[Array, "*position d_vocab"], targets: Int[Array, "*position"]
) -> Float[Array, ""]:
    """Mean place of the right answer, in [0, d_vocab - 1]; 0 is first.

    Tokens with the same logit count half; (d_vocab - 1) / 2 by chance. NaN if a target
    is no token.
    """
    size = logits.shape[-1]
    known = (targets >= 0) & (targets < size)
    own = jnp.take_along_axis(logits, targets[..., None], axis=-1, mode="clip")
    above = (logits > own).sum(axis=-1).astype(jnp.float32)
    level = (logits == own).sum(axis=-1).astype(jnp.float32) - 1
    return jnp.where(known, above + level / 2, jnp.nan).mean()
