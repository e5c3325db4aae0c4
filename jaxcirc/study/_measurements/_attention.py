"""What every head attends to, on random sequences that repeat."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ...components import repeated_patterns
from ...metrics import (
    attention_distance,
    attention_entropy,
    duplicate_token_score,
    induction_score,
    previous_token_score,
)
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ._measurement import AbstractMeasurement, MeasurementSpec, Quantity, Snapshot


class AttentionScores(AbstractMeasurement):
    """Previous-token, duplicate-token, induction score, entropy and distance, per head.

    The input is `[x] + r + r`: random tokens `r`, as long as fit the context twice,
    behind one more random token (Olsson et al. 2022). It does not come from the task,
    so the scores of models of different tasks can be compared. Chance is causal
    attention to all alike.
    """

    n_sequences: int = eqx.field(static=True)

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """The context must hold a block of two tokens twice."""
        del task
        if config.n_ctx < 5:
            raise ValueError(
                f"attention: scores need a context of at least 5 tokens, for a block "
                f"that repeats; this model has {config.n_ctx}. The measurement "
                "`patterns` shows attention at any length."
            )

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, Quantity]:
        """Each with axes `layer` and `head`."""
        del task
        pattern, period = repeated_patterns(snapshot.model, self.n_sequences, key)
        scores = {
            "induction": (
                functools.partial(induction_score, period=period),
                "attention",
                "to the token after the same token, one block ago",
            ),
            "previous_token": (
                previous_token_score,
                "attention",
                "to the position before",
            ),
            "duplicate_token": (
                functools.partial(duplicate_token_score, period=period),
                "attention",
                "to the same token, one block ago",
            ),
            "entropy": (
                attention_entropy,
                "nats",
                "how widely attention is spread; uniform is highest",
            ),
            "distance": (
                attention_distance,
                "positions",
                "how far back attention looks",
            ),
        }
        uniform = np.tril(np.ones(pattern.shape[-2:], np.float32))
        uniform /= uniform.sum(axis=-1, keepdims=True)
        measured = {}
        for name, (score, units, meaning) in scores.items():
            with jax.ensure_compile_time_eval():
                chance = float(score(jnp.asarray(uniform)))
            # Mapped over layer, sequence and head; the mean is over sequences.
            values = jax.vmap(jax.vmap(jax.vmap(score)))(pattern).mean(axis=1)
            dims = ("layer", "head")
            measured[name] = Quantity(values, dims, units, meaning, chance)
        return measured


def attention(n_sequences: int = 16) -> AttentionScores:
    """What every head attends to.

    Args:
        n_sequences: Random sequences to average over.
    """
    return AttentionScores(n_sequences)


SPEC = MeasurementSpec(
    name="attention",
    summary="previous-token, duplicate-token, induction score, entropy of each head",
    build=attention,
    tiny={"n_sequences": 2},
)
