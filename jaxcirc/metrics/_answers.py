"""How good logits are where the right answer is known.

All take a mask of the positions that count and average over those alone; with none
they give NaN, since an average over nothing has no value. So do targets that count and
are no outcome, such as -100.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._core import at_least_float32, masked_mean


@jax.jit
def cross_entropy(
    logits: Float[Array, "*example pos d_vocab"],
    targets: Int[Array, "*example pos"],
    mask: Bool[Array, "*example pos"],
) -> Float[Array, ""]:
    """Mean surprise at the right answer, in nats: -log p(target).

    In [0, inf); log(d_vocab) for a model that knows nothing. Unchanged by a constant
    added to all logits of a position. It keeps its precision, and its gradient, where
    the answer is all but certain: at a margin of 30 it is near 1e-13 times the number
    of other answers, where log p itself rounds to 0.

    Args:
        logits: Logits over the outcomes, at every position.
        targets: The right outcome of every position.
        mask: Which positions count; NaN if none does.

    Example:
        >>> import jax.numpy as jnp
        >>> logits = jnp.zeros((1, 4))
        >>> target, mask = jnp.array([2]), jnp.array([True])
        >>> round(float(cross_entropy(logits, target, mask)), 4)  # log 4
        1.3863
    """
    return masked_mean(surprise(logits, targets), mask)


@jax.jit
def surprise(
    logits: Float[Array, "*example pos d_vocab"],
    targets: Int[Array, "*example pos"],
) -> Float[Array, "*example pos"]:
    """Surprise at the right answer of every position, -log p(target), in nats.

    What `cross_entropy` is the mean of; the same range, units and precision. It is
    taken as log(1 + Σ exp(z - z_target)) with the sum over the other answers, which
    loses nothing where log p itself would round to 0. NaN where a target is no outcome.

    Args:
        logits: Logits over the outcomes, at every position.
        targets: The right outcome of every position.

    Returns:
        One number for each position, in float32 or wider.

    Example:
        >>> import jax.numpy as jnp
        >>> logits = jnp.log(jnp.array([[0.25, 0.75]]))
        >>> float(jnp.exp(-surprise(logits, jnp.array([0])))[0])
        0.25
    """
    logits = at_least_float32(logits)
    answers = jax.lax.broadcasted_iota(targets.dtype, logits.shape, logits.ndim - 1)
    others = jnp.where(answers == targets[..., None], -jnp.inf, logits)
    # The odds against the target lose nothing where log p would round to 0.
    odds = jax.nn.logsumexp(others, axis=-1) - _nearest(logits, targets)
    return _where_known(jax.nn.softplus(odds), targets, logits.shape[-1])


@jax.jit
def answer_probability(
    logits: Float[Array, "*example pos d_vocab"],
    targets: Int[Array, "*example pos"],
    mask: Bool[Array, "*example pos"],
) -> Float[Array, ""]:
    """Mean probability of the right answer, in [0, 1]; 1 / d_vocab by chance.

    The mean over positions of the softmax at the target, in float32 or wider. Unlike
    `cross_entropy` it is bounded, so a few positions that are very wrong do not decide
    it. Unchanged by a constant added to all logits of a position.

    Args:
        logits: Logits over the outcomes, at every position.
        targets: The right outcome of every position.
        mask: Which positions count; NaN if none does.

    Example:
        >>> import jax.numpy as jnp
        >>> logits = jnp.log(jnp.array([[1.0, 3.0], [1.0, 1.0]]))
        >>> target, mask = jnp.array([1, 1]), jnp.array([True, True])
        >>> float(answer_probability(logits, target, mask))  # (3/4 + 1/2) / 2
        0.625
    """
    return masked_mean(
        _pick(jax.nn.softmax(at_least_float32(logits), axis=-1), targets), mask
    )


@jax.jit
def rank_0_rate(
    logits: Float[Array, "*example pos d_vocab"],
    targets: Int[Array, "*example pos"],
    mask: Bool[Array, "*example pos"],
) -> Float[Array, ""]:
    """Share of positions where the right answer has the highest logit of all.

    In [0, 1]; 1 / d_vocab by chance. A tie counts only for the lowest id. Also called
    accuracy; here that word is for the easier comparison with one wrong answer.
    Unchanged by whatever keeps the order of a position's logits.

    Args:
        logits: Logits over the outcomes, at every position.
        targets: The right outcome of every position.
        mask: Which positions count; NaN if none does.

    Example:
        >>> import jax.numpy as jnp
        >>> logits = jnp.array([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
        >>> target, mask = jnp.array([1, 1]), jnp.array([True, True])
        >>> float(rank_0_rate(logits, target, mask))
        0.5
    """
    return masked_mean(jnp.argmax(logits, axis=-1) == targets, mask)


@jax.jit
def logit_difference(
    logits: Float[Array, "*example pos d_vocab"],
    targets: Int[Array, "*example pos"],
    wrong: Int[Array, "*example pos"],
    mask: Bool[Array, "*example pos"],
) -> Float[Array, ""]:
    """Mean logit of the right answer minus that of a given wrong one, in logits.

    0 by chance, unbounded; the metric of Wang et al. (2023), section 2. Unchanged by a
    constant added to all logits of a position. Here every position has one right and
    one wrong answer; `objectives.LogitDifference` takes several of each.

    Args:
        logits: Logits over the outcomes, at every position.
        targets: The right outcome of every position.
        wrong: The outcome that it is compared with.
        mask: Which positions count; NaN if none does.

    Example:
        >>> import jax.numpy as jnp
        >>> logits, one = jnp.array([[0.5, 2.0]]), jnp.array([1])
        >>> float(logit_difference(logits, one, 1 - one, jnp.array([True])))
        1.5
    """
    wide = at_least_float32(logits)
    return masked_mean(_pick(wide, targets) - _pick(wide, wrong), mask)


@jax.jit
def accuracy(
    logits: Float[Array, "*example pos d_vocab"],
    targets: Int[Array, "*example pos"],
    wrong: Int[Array, "*example pos"],
    mask: Bool[Array, "*example pos"],
) -> Float[Array, ""]:
    """Share of positions where the right answer beats the given wrong one.

    In [0, 1]; 0.5 by chance. Easier than `rank_0_rate`, which asks it to beat them all.
    A tie is no win, so a model that says the same everywhere has 0.

    Args:
        logits: Logits over the outcomes, at every position.
        targets: The right outcome of every position.
        wrong: The outcome that it is compared with.
        mask: Which positions count; NaN if none does.

    Example:
        >>> import jax.numpy as jnp
        >>> logits = jnp.array([[0.5, 2.0, 9.0], [0.5, 0.2, 0.0]])
        >>> right, both = jnp.array([1, 1]), jnp.array([True, True])
        >>> float(accuracy(logits, right, jnp.array([0, 0]), both))
        0.5
    """
    return masked_mean(_pick(logits, targets) > _pick(logits, wrong), mask)


def _pick(values: Array, index: Array) -> Array:
    """The value at an index; NaN where there is none, and not somebody else's."""
    return _where_known(_nearest(values, index), index, values.shape[-1])


def _nearest(values: Array, index: Array) -> Array:
    # Finite where the index is outside too, so that a masked position has no gradient.
    return jnp.take_along_axis(values, index[..., None], axis=-1, mode="clip")[..., 0]


def _where_known(values: Array, index: Array, size: int) -> Array:
    return jnp.where((index >= 0) & (index < size), values, jnp.nan)
