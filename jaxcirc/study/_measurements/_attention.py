"""What every head attends to, on random sequences that repeat."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ...components import check_periods, default_periods, repeated_patterns
from ...metrics import (
    attention_distance,
    attention_entropy,
    duplicate_token_score,
    induction_score,
    previous_token_score,
)
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity


class AttentionScores(PerCheckpoint):
    """Previous-token, duplicate-token, induction score, entropy and distance, per head.

    The input is `[x] + r + r`: random tokens `r` behind one more random token (Olsson
    et al. 2022). How long `r` is decides what a head can do: the lengths are
    those of the task's own repetitions if it has any, else the longest that fits the
    context twice. Scores are means over the lengths. Chance is causal attention to all
    alike.
    """

    n_sequences: int = eqx.field(static=True)
    periods: tuple[int, ...] = eqx.field(static=True)

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a context that does not hold every block twice.

        Args:
            config: The config of the study's models.
            task: The study's task.

        Raises:
            ValueError: the context has fewer than five tokens, or a period does not
                fit.
        """
        if config.n_ctx < 5:
            raise ValueError(
                f"attention: scores need a context of at least 5 tokens, for a block "
                f"that repeats; this model has {config.n_ctx}. The measurement "
                "`patterns` shows attention at any length."
            )
        check_periods(self._periods(config, task), config.n_ctx, who="attention")

    def _periods(
        self, config: TransformerConfig, task: AbstractTask
    ) -> tuple[int, ...]:
        """The lengths of blocks that are asked for, or else the task's."""
        return self.periods or periods_of(task, config)

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Scores with axes `layer` and `head`, each with its chance."""
        model = snapshot.model
        periods = self._periods(model.config, task)
        by_period = [_of_period(model, p, self.n_sequences, key) for p in periods]
        blocks = f"; blocks of {_listed(periods)} random tokens, twice"
        measured = {}
        for name, (units, meaning) in _MEANINGS.items():
            scores, chances = zip(*(found[name] for found in by_period), strict=True)
            measured[name] = Quantity(
                jnp.stack(scores).mean(axis=0),
                ("layer", "head"),
                units,
                meaning + blocks,
                sum(chances) / len(chances),
            )
        return Outcome(measured)


_MEANINGS = {
    "induction": ("attention", "to the token after the same token, one block ago"),
    "previous_token": ("attention", "to the position before"),
    "duplicate_token": ("attention", "to the same token, one block ago"),
    "entropy": ("nats", "how widely attention is spread; uniform is highest"),
    "distance": ("positions", "how far back attention looks"),
}


def periods_of(task: AbstractTask, config: TransformerConfig) -> tuple[int, ...]:
    """Lengths of the blocks by which a task's heads are told apart.

    They are the task's own that fit the model's context twice, else the longest that
    does.

    Args:
        task: The task that the heads have learnt.
        config: The model's config.
    """
    longest = default_periods(config.n_ctx)
    return tuple(p for p in task.periods if 2 <= p <= longest[0]) or longest


def _of_period(
    model: Transformer, period: int, n_sequences: int, key: Key[Array, ""]
) -> dict[str, tuple[Array, float]]:
    """Scores by name, [layer, head], each with its chance."""
    pattern, _ = repeated_patterns(model, n_sequences, key, period=period)
    scores = {
        "induction": functools.partial(induction_score, period=period),
        "previous_token": previous_token_score,
        "duplicate_token": functools.partial(duplicate_token_score, period=period),
        "entropy": attention_entropy,
        "distance": attention_distance,
    }
    uniform = np.tril(np.ones(pattern.shape[-2:], np.float32))
    uniform /= uniform.sum(axis=-1, keepdims=True)
    found = {}
    for name, score in scores.items():
        # Chance is a number of the file, so it cannot wait for the traced program.
        with jax.ensure_compile_time_eval():
            chance = float(score(jnp.asarray(uniform)))
        # Mapped over layer, sequence and head; the mean is over sequences.
        found[name] = jax.vmap(jax.vmap(jax.vmap(score)))(pattern).mean(axis=1), chance
    return found


def _listed(numbers: tuple[int, ...]) -> str:
    """Numbers as a list in a sentence."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def attention(n_sequences: int = 16, periods: tuple[int, ...] = ()) -> AttentionScores:
    """The measurement of what every head attends to.

    Args:
        n_sequences: Random sequences to average over, of each length.
        periods: Lengths of the block that repeats, in tokens; the task's own if none,
            and if it has none either the longest that fits the context twice.
    """
    return AttentionScores(n_sequences, tuple(periods))


SPEC = MeasurementSpec(
    name="attention",
    summary="previous-token, duplicate-token, induction score, entropy of each head",
    build=attention,
    tiny={"n_sequences": 2},
)
