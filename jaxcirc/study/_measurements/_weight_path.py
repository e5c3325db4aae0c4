"""How far the weights have gone, and how straight."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ..._core import norm, widened
from ...models import Transformer
from ...tasks import AbstractTask
from ._measurement import AlongRun, MeasurementSpec, Snapshot
from ._quantity import Outcome, Quantity


class Way(NamedTuple):
    """How a run has come to where it is.

    Args:
        start: The first checkpoint that was measured.
        here: The last one.
        length: Sum of the distances between checkpoints in between.
    """

    start: Transformer
    here: Transformer
    length: Float[Array, ""]


class WeightPath(AlongRun):
    """Length of the path of all weights together, and the distance from its start.

    The path goes from checkpoint to checkpoint in straight lines, so its length is at
    least the distance and at most the sum of the lengths of all updates; it grows with
    the number of checkpoints. Distances are Euclidean, over all weights at once.
    """

    def init(
        self, model: Transformer, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Way:
        """A way that begins at a model and has no length yet."""
        del task, key
        # In half precision, short steps would round to no step.
        model = widened(model)
        return Way(model, model, jnp.zeros(()))

    def step(
        self,
        state: Way,
        snapshot: Snapshot,
        task: AbstractTask,
        *,
        key: Key[Array, ""],
    ) -> tuple[Way, Outcome]:
        """The way with one line more, and its length, distance and straightness."""
        del task, key
        here = widened(snapshot.model)
        length = state.length + _distance(state.here, here)
        distance = _distance(state.start, here)
        # At the start there is no direction yet.
        straight = distance / jnp.where(length > 0, length, jnp.nan)
        meanings = {
            "length": (length, "of the path of the weights so far"),
            "distance": (distance, "of the weights from where they were first"),
            "straightness": (straight, "distance over length; 1 for a straight line"),
        }
        quantities = {
            name: Quantity(values, (), "", meaning)
            for name, (values, meaning) in meanings.items()
        }
        return Way(state.start, here, length), Outcome(quantities)


def _distance(a: Transformer, b: Transformer) -> Float[Array, ""]:
    """The Euclidean distance between the weights of two models."""
    return norm(jax.tree.map(lambda x, y: x - y, a, b))


def weight_path() -> WeightPath:
    """The measurement of how far the weights have gone, and how straight."""
    return WeightPath()


SPEC = MeasurementSpec(
    name="weight_path",
    summary="length of the weights' path, distance from its start, and straightness",
    build=weight_path,
    tiny={},
)
