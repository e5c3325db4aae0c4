"""How good logits are where the right answer is known.

All take a mask of the positions that count and average over those alone; with none
they give NaN, since an average over nothing has no value.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._core import at_least_float32


@jax.jit
def cross_entropy(
    logits: Float[Array, "*example pos d_vocab"],
    targets: Int[Array, "*example pos"],
    mask: Bool[Array, "*example pos"],
) -> Float[Array, ""]:
    """Mean surprise at the right answer, in nats: -log p(target).

    In [0, inf); log(d_vocab) for a model that knows nothing. Unchanged by a constant
    added to all logits of a position.

    Example:
        >>> import jax.numpy as jnp
        >>> logits = jnp.zeros((1, 4))
        >>> target, mask = jnp.array([2]), jnp.array([True])
        >>> round(float(cross_entropy(logits, target, mask)), 4)  # log 4
        1.3863
    """
    log_p = jax.nn.log_softmax(at_least_float32(logits), axis=-1)
    return _mean(-_pick(log_p, targets), mask)


@jax.jit
def answer_probability(
    logits: Float[Array, "*example pos d_vocab"],
    targets: Int[Array, "*example pos"],
    mask: Bool[Array, "*example pos"],
) -> Float[Array, ""]:
    """Mean probability of the right answer, in [0, 1]; 1 / d_vocab by chance."""
    return _mean(
        _pick(jax.nn.softmax(at_least_float32(logits), axis=-1), targets), mask
    )


@jax.jit
def rank_0_rate(
    logits: Float[Array, "*example pos d_vocab"],
    targets: Int[Array, "*example pos"],
    mask: Bool[Array, "*example pos"],
) -> Float[Array, ""]:
    """Share of positions where the right answer has the highest logit of all.

    In [0, 1]; 1 / d_vocab by chance. A tie counts only for the lowest id.
    """
    return _mean(jnp.argmax(logits, axis=-1) == targets, mask)


@jax.jit
def logit_difference(
    logits: Float[Array, "*example pos d_vocab"],
    targets: Int[Array, "*example pos"],
    wrong: Int[Array, "*example pos"],
    mask: Bool[Array, "*example pos"],
) -> Float[Array, ""]:
    """Mean logit of the right answer minus that of a given wrong one, in logits.

    0 by chance, unbounded; the metric of Wang et al. (2023), section 2. Unchanged by a
    constant added to all logits of a position.
    """
    wide = at_least_float32(logits)
    return _mean(_pick(wide, targets) - _pick(wide, wrong), mask)


@jax.jit
def accuracy(
    logits: Float[Array, "*example pos d_vocab"],
    targets: Int[Array, "*example pos"],
    wrong: Int[Array, "*example pos"],
    mask: Bool[Array, "*example pos"],
) -> Float[Array, ""]:
    """Share of positions where the right answer beats the given wrong one.

    In [0, 1]; 0.5 by chance. Easier than `rank_0_rate`, which asks it to beat them all.
    """
    return _mean(_pick(logits, targets) > _pick(logits, wrong), mask)


def _pick(values: Array, index: Array) -> Array:
    return jnp.take_along_axis(values, index[..., None], axis=-1)[..., 0]


def _mean(values: Array, mask: Array) -> Array:
    values = at_least_float32(values)
    return jnp.sum(jnp.where(mask, values, 0)) / mask.sum().astype(values.dtype)
