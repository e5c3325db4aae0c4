"""Rows that look at the way from a reference to every checkpoint."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from ...models import Transformer
from ._measurement import Chunk


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
