"""Rows that look at the way from a reference to every checkpoint."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from ..._core import mean_of
from ...models import Transformer
from ...objectives import CrossEntropy
from ...tasks import Batch
from ._measurement import Chunk, PerCheckpoint, PerChunk
from ._reference import Reference, use_of
from ._use import Use


class BetweenTwo(PerCheckpoint):
    """A function of a checkpoint and of the model that it is compared with.

    Attributes:
        reference: Which model that is: `first`, a step, or another run.
    """

    reference: Reference = eqx.field(static=True)

    @property
    def uses(self) -> Mapping[str, Use]:
        """The model that is compared with."""
        return {"reference": use_of(self.reference)}


class AlongWay(PerChunk):
    """A function of the way from a reference to a checkpoint, with its own programs.

    Attributes:
        reference: Where the way begins: `first`, a step, or another run.
    """

    reference: Reference = eqx.field(static=True)

    @property
    def uses(self) -> Mapping[str, Use]:
        """The model where the way begins."""
        return {"reference": use_of(self.reference)}


class LossOn(eqx.Module):
    """The mean loss of a model on some examples.

    A pytree and not a closure, so that one compiled program serves all checkpoints.

    Args:
        batch: The examples.
    """

    batch: Batch

    def __call__(self, model: Any) -> Float[Array, ""]:
        """The loss in nats.

        Args:
            model: Anything that gives logits.
        """
        return mean_of(CrossEntropy(), model, self.batch)


def ways(chunk: Chunk) -> Iterator[tuple[Transformer, Transformer]]:
    """Reference and checkpoint, for every checkpoint and seed of a chunk in order.

    Args:
        chunk: Checkpoints with the models that they are compared with, `reference`.
    """
    both = (chunk.inputs["reference"], chunk.models)
    checkpoints, seeds = jax.tree.leaves(chunk.models)[0].shape[:2]
    for i in range(checkpoints):
        for seed in range(seeds):
            yield jax.tree.map(lambda x, i=i, seed=seed: x[i, seed], both)


def gathered(chunk: Chunk, found: list[Any], of: Callable[[Any], Any]) -> np.ndarray:
    """One number or array of every model, with axes checkpoint and seed in front.

    Args:
        chunk: The checkpoints.
        found: What was found of each, in the order of `ways`.
        of: What of that is wanted.
    """
    flat = np.stack([np.asarray(of(one), np.float32) for one in found])
    lead = jax.tree.leaves(chunk.models)[0].shape[:2]
    return flat.reshape(*lead, *flat.shape[1:])
