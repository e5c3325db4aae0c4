"""Examples with their answers."""

from typing import Literal, NamedTuple

from jaxtyping import Array, Bool, Int

Split = Literal["train", "test"]


class Batch(NamedTuple):
    """Examples on the device: what goes in, what should come out, where it counts.

    Args:
        tokens: Sequences of ids below the task's `d_vocab`.
        targets: The right answer at every position, below `n_answers`.
        mask: Which positions have one; what the targets say elsewhere means nothing.

    Example:
        >>> import jax.numpy as jnp
        >>> zeros = jnp.zeros((2, 3), int)
        >>> last = zeros.at[:, -1].set(1) == 1  # only the last answer counts
        >>> int(Batch(zeros, zeros, last).mask.sum())
        2
    """

    tokens: Int[Array, "*example pos"]
    targets: Int[Array, "*example pos"]
    mask: Bool[Array, "*example pos"]
