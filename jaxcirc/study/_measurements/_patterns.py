"""Attention patterns on one test example, to look at."""

import equinox as eqx
from jaxtyping import Array, Key

from ...models import TransformerConfig, capture
from ...tasks import AbstractTask
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity


class Patterns(PerCheckpoint):
    """The attention of every head on the first `max_length` tokens of one example."""

    max_length: int = eqx.field(static=True)

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Attention with axes `layer`, `head`, `query_pos` and `key_pos`."""
        tokens = self._tokens(task, key)
        _, acts = capture(snapshot.model, tokens, ("attn.pattern",))
        dims = ("layer", "head", "query_pos", "key_pos")
        about = (dims, "attention", "attention of each position to each; rows sum to 1")
        pattern = Quantity(acts["attn.pattern"], *about, role="detail")
        return Outcome({"pattern": pattern})

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """The tokens, each after its position so that no two are alike."""
        del config
        tokens = self._tokens(task, key)
        labels = [f"{i} {token}" for i, token in enumerate(task.decode(tokens))]
        return {"query_pos": labels, "key_pos": labels}

    def _tokens(self, task: AbstractTask, key: Key[Array, ""]) -> Array:
        """The example's first tokens, which are the same at every checkpoint."""
        return task.sample(1, split="test", key=key).tokens[0, : self.max_length]


def patterns(max_length: int = 48) -> Patterns:
    """The measurement of attention patterns on one test example.

    Args:
        max_length: Number of tokens that are shown, at most.

    Raises:
        ValueError: the number is not positive.
    """
    if max_length < 1:
        raise ValueError(
            f"patterns: `max_length` must be at least 1; got {max_length}."
        )
    return Patterns(max_length)


SPEC = MeasurementSpec(
    name="patterns",
    summary="the attention pattern of every head on one example, to look at",
    build=patterns,
    tiny={"max_length": 8},
)
