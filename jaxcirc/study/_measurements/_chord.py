"""The loss on the straight line from a reference to every checkpoint."""

import equinox as eqx
from jaxtyping import Array, Key

from ..._core import fold_name
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ...taylor import barrier
from ._between import AlongWay, LossOn, gathered, ways
from ._measurement import Chunk, MeasurementSpec
from ._quantity import Outcome, Quantity
from ._reference import Reference, described


class ChordLosses(AlongWay):
    """Losses at places of the straight line, and the barrier on it.

    The barrier is how far the loss rises above the straight line between the losses at
    both ends; 0 means that the two models lie in one basin, as far as the line can
    tell.
    """

    n_examples: int = eqx.field(static=True)
    points: int = eqx.field(static=True)

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Places on the line, 0 for the reference and 1 for the checkpoint."""
        del config, task, key
        return {"place": [f"{i / (self.points - 1):.2g}" for i in range(self.points)]}

    def __call__(
        self, chunk: Chunk, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Losses with an axis `place`, and the barrier."""
        key = fold_name(key, "examples")
        loss = LossOn(task.sample(self.n_examples, split="test", key=key))
        found = [barrier(loss, *way, points=self.points) for way in ways(chunk)]
        there = described(self.reference)
        losses = gathered(chunk, found, lambda chord: chord.losses)
        height = gathered(chunk, found, lambda chord: chord.barrier)
        return Outcome(
            {
                "barrier": Quantity(
                    height, (), "nats", f"of the loss on the line from {there}"
                ),
                "loss": Quantity(
                    losses,
                    ("place",),
                    "nats",
                    f"on the line from {there}",
                    role="detail",
                ),
            }
        )


def chord(
    n_examples: int = 64, points: int = 11, reference: Reference = "first"
) -> ChordLosses:
    """The measurement of the loss between a reference and every checkpoint.

    Args:
        n_examples: Test examples of the loss.
        points: Places on the line, both ends included.
        reference: Where the line begins: `first`, a step, or another run.

    Raises:
        ValueError: there are no examples, or fewer than 2 points.
    """
    if n_examples < 1 or points < 2:
        raise ValueError(
            "chord: `n_examples` must be at least 1 and `points` at least 2; got "
            f"{n_examples} and {points}."
        )
    return ChordLosses(reference, n_examples, points)


SPEC = MeasurementSpec(
    name="chord",
    summary="loss on the straight line from a reference, and its barrier",
    build=chord,
    tiny={"n_examples": 2, "points": 3},
)
