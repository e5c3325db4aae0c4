"""The logits of a model where a pair asks for an answer."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._core import at_least_float32
from ..tasks import Pairs


def logits_at_end(model: Any, pairs: Pairs) -> Float[Array, "*example d_vocab"]:
    """Logits after the clean sequence of each pair, at its position `end`.

    Args:
        model: A model, called as `model(tokens)`.
        pairs: Prompts, or a single one.
    """
    end = pairs.positions["end"][..., None, None]
    return jnp.take_along_axis(model(pairs.clean), end, axis=-2)[..., 0, :]


def over_answers(
    values: Float[Array, "*example d_vocab"], answers: Int[Array, "*example k"]
) -> tuple[Float[Array, "*example k"], Bool[Array, "*example k"]]:
    """The values of some answers, 0 where -1 fills up the list, and which are answers.

    Args:
        values: A value for every outcome.
        answers: Ids of outcomes; -1 for none.
    """
    there = answers >= 0
    # -1 would read the last outcome; any valid one does, since it is dropped.
    found = jnp.take_along_axis(values, jnp.maximum(answers, 0), axis=-1)
    return jnp.where(there, found, 0), there


def log_probability_right(
    model: Any, pairs: Pairs
) -> tuple[Float[Array, "*example"], Bool[Array, "*example"]]:
    """The log of the probability of all right answers together, and where there is one.

    Args:
        model: A model, called as `model(tokens)`.
        pairs: Prompts, or a single one.

    Returns:
        log Σ p(right) at `end`, 0 where there is no right answer; and where there is.
    """
    log_p = jax.nn.log_softmax(at_least_float32(logits_at_end(model, pairs)))
    found, there = over_answers(log_p, pairs.right)
    some = there.any(axis=-1)
    # A list without answers would be log 0, whose gradient is NaN: it has one of p = 1.
    counted = there | ~some[..., None]
    total = jax.nn.logsumexp(found, axis=-1, where=counted)
    return jnp.where(some, total, 0), some
