"""Examples of a model in batches of one size."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from ..tasks import AbstractTask, Batch


class Batches(NamedTuple):
    """Examples in batches, with an axis `batch` in front.

    Args:
        examples: Tokens, targets, and where there is an answer.
        where: Positions that are judged and replaced.
    """

    examples: Batch
    where: Bool[Array, "batch example pos"]


def batches_of(data, where, skip, n_examples, batch_size, key) -> Batches:
    """All examples, the last batch filled up with such as do not count.

    Raises:
        ValueError: nothing is left to judge.
    """
    if isinstance(data, AbstractTask):
        data = data.sample(n_examples, split="test", key=key)
    if not isinstance(data, Batch):
        tokens = jnp.asarray(data)
        # The last position has nothing to predict.
        known = jnp.ones(tokens.shape, bool).at[:, -1].set(False)
        data = Batch(tokens, jnp.roll(tokens, -1, axis=1), known)
    n, n_pos = data.tokens.shape
    # NumPy's, so that it is known inside a compiled program what there is to judge.
    judged = np.ones((n, n_pos), bool) if where is None else np.asarray(where)
    if judged.shape != (n, n_pos):
        raise ValueError(
            f"evaluate: `where` must say of each of {n} x {n_pos} positions whether it "
            f"counts; got an array of shape {judged.shape}."
        )
    judged = judged & (np.arange(n_pos) >= skip)[None]
    if batch_size < 1 or skip < 0 or not bool(judged.any()):
        raise ValueError(
            f"evaluate: with `skip={skip}`, `where` and `batch_size={batch_size}` no "
            f"position of {n} sequences of {n_pos} is left to judge."
        )
    size = min(batch_size, n)
    # What fills up is token 0, and False: it is read, and counts for nothing.
    fill = lambda x: jnp.pad(x, ((0, -n % size), (0, 0))).reshape(-1, size, n_pos)
    mask = data.mask & judged
    examples = Batch(fill(data.tokens), fill(data.targets), fill(mask))
    return Batches(examples, fill(judged))
