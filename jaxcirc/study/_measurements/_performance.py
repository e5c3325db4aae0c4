"""How well the model does its task, on train and test examples."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Key

from ..._core import fold_name
from ...metrics import (
    accuracy,
    answer_probability,
    cross_entropy,
    logit_difference,
    rank_0_rate,
)
from ...models import TransformerConfig
from ...tasks import AbstractTask, answers_differ
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity

_SPLITS = ("train", "test")


class Performance(PerCheckpoint):
    """Loss, rank-0 rate, answer probability, logit difference and accuracy.

    A finite domain is measured whole where it has at most `n_examples`; otherwise on
    that many random examples, the same ones at every checkpoint. The wrong answer that
    logit difference and accuracy compare with is that of the corrupted counterpart.
    """

    n_examples: int = eqx.field(static=True)

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Five numbers with an axis `split`, each with its chance."""
        # A key of its own for each split, by its name: a third split would move
        # neither.
        rows = [self._of_split(snapshot, task, s, fold_name(key, s)) for s in _SPLITS]
        # A published model may have fewer logits than one trained here would.
        n = min(task.d_vocab_out, snapshot.model.config.sizes.d_vocab_out)
        meanings = {
            "loss": ("nats", "mean surprise at the right answer", math.log(n)),
            "rank_0_rate": ("share", "right answer has the highest logit", 1 / n),
            "answer_probability": ("share", "probability of the right answer", 1 / n),
            "logit_difference": ("logits", "right answer minus a wrong one", 0.0),
            "accuracy": ("share", "right answer beats a wrong one", 0.5),
        }
        stacked = {k: jnp.stack([row[k] for row in rows]) for k in meanings}
        return Outcome(
            {k: Quantity(stacked[k], ("split",), *meanings[k]) for k in meanings}
        )

    def _of_split(self, snapshot, task, split, key) -> dict[str, Array]:
        """The five numbers of one split."""
        sample_key, corrupt_key = fold_name(key, "sample"), fold_name(key, "corrupt")
        batch = task.examples(split)
        if batch is None or len(batch.tokens) > self.n_examples:
            batch = task.sample(self.n_examples, split=split, key=sample_key)
        wrong = task.corrupt(batch, key=corrupt_key)
        logits = snapshot.model(batch.tokens)
        compared = answers_differ(batch, wrong)
        return {
            "loss": cross_entropy(logits, *batch[1:]),
            "rank_0_rate": rank_0_rate(logits, *batch[1:]),
            "answer_probability": answer_probability(logits, *batch[1:]),
            "logit_difference": logit_difference(
                logits, batch.targets, wrong.targets, compared
            ),
            "accuracy": accuracy(logits, batch.targets, wrong.targets, compared),
        }

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Names of the splits."""
        del config, task, key
        return {"split": list(_SPLITS)}


def performance(n_examples: int = 512) -> Performance:
    """The measurement of how well the model does its task.

    Args:
        n_examples: Examples per split, at least 2.

    Raises:
        ValueError: there are fewer than two examples.
    """
    if n_examples < 2:
        raise ValueError(f"performance: `n_examples` must be at least 2: {n_examples}.")
    return Performance(n_examples)


SPEC = MeasurementSpec(
    name="performance",
    summary="loss, rank-0 rate, answer probability, logit difference; train and test",
    build=performance,
    tiny={"n_examples": 16},
)
