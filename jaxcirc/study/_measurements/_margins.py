"""What a model says at each example's last position that counts."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ...models import Transformer
from ...tasks import Batch


def _last(example: Batch) -> Array:
    """The last position that counts."""
    return example.mask.shape[-1] - 1 - jnp.argmax(example.mask[..., ::-1], axis=-1)


def answer_logits(model: Transformer, batch: Batch) -> Array:
    """Logits at the last position of each example that counts.

    Args:
        model: The model.
        batch: Examples.
    """
    return _answers(model, batch)[0]


def _answers(model: Transformer, batch: Batch) -> tuple[Array, Array]:
    """Logits at each example's last position that counts, and which are the answers."""
    logits = model(batch.tokens)
    rows, place = jnp.arange(len(logits)), _last(batch)
    right = jax.nn.one_hot(batch.targets[rows, place], logits.shape[-1], dtype=bool)
    return logits[rows, place], right


def margins(model: Transformer, batch: Batch) -> Array:
    """The logit of the right answer minus the mean of all, by example.

    Args:
        model: The model.
        batch: Examples.
    """
    logits, right = _answers(model, batch)
    return jnp.where(right, logits, 0).sum(axis=-1) - logits.mean(axis=-1)


def wrong_probability(model: Transformer, batch: Batch) -> Array:
    """1 - p(answer), which stays above 0 where p rounds to 1.

    Args:
        model: The model.
        batch: Examples.
    """
    logits, right = _answers(model, batch)
    others = jax.nn.logsumexp(jnp.where(right, -jnp.inf, logits), axis=-1)
    return jax.nn.sigmoid(others - jnp.where(right, logits, 0).sum(axis=-1))
