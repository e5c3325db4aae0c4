"""Prompts in pairs: one with its answers, and a counterpart with others."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ._batch import Batch


class Pairs(NamedTuple):
    """Clean and corrupted sequences of equal length, and what follows the clean one.

    Circuits are found with them: a run on the corrupted sequence gives another answer
    at the position `end`, so what is exchanged between the two runs shows what carries
    the answer. Right answers are those of the clean sequence. Wrong ones are what a
    model would say that followed the corrupted one instead, so the two lists share
    nothing. Lists shorter than `k` are filled up with -1. An example for which no
    counterpart with another answer was found has -1 alone, and no objective counts it.

    Args:
        clean: Sequences of tokens.
        corrupted: Their counterparts.
        right: Right answers at `end` of the clean sequence; -1 for none.
        wrong: Wrong answers there; -1 for none.
        positions: Places of the clean sequence by name. `end` is the one whose logits
            give the answer; what other names there are, the task says.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc.tasks import ModAdd
        >>> pairs = ModAdd(7, 0.5, 0).pairs(1, key=jr.key(0))
        >>> pairs.clean.shape, pairs.right.shape, pairs.positions["end"].tolist()
        ((1, 3), (1, 1), [2])
    """

    clean: Int[Array, "*example pos"]
    corrupted: Int[Array, "*example pos"]
    right: Int[Array, "*example k"]
    wrong: Int[Array, "*example k"]
    positions: Mapping[str, Int[Array, "*example"]]


def answers_differ(clean: Batch, corrupted: Batch) -> Bool[Array, "*example pos"]:
    """Where both sequences have an answer that counts, and not the same one.

    These are the positions at which a right answer can be compared with a wrong one. It
    is False wherever either mask is, whatever the targets say there; where it is False
    everywhere, an example has no counterpart and `AbstractTask.pairs` passes over it.

    Args:
        clean: Examples.
        corrupted: The counterpart of each, of the same shape.

    Returns:
        A boolean for each position of each example.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.tasks import Batch
        >>> tokens, counts = jnp.zeros((1, 3), int), jnp.array([[False, True, True]])
        >>> clean = Batch(tokens, jnp.array([[1, 2, 3]]), counts)
        >>> other = Batch(tokens, jnp.array([[0, 2, 0]]), counts)
        >>> answers_differ(clean, other).tolist()
        [[False, False, True]]
    """
    return clean.mask & corrupted.mask & (clean.targets != corrupted.targets)


def pairs_of(
    clean: Batch, corrupted: Batch, n: int
) -> tuple[Batch, Batch, Int[Array, " n"], Bool[Array, " n"]]:
    """The first `n` examples that have another answer when corrupted, and where.

    Examples without one come last, in case there are too few with one.

    Args:
        clean: At least `n` examples.
        corrupted: The counterpart of each.
        n: Number of examples to keep.

    Returns:
        Both batches with `n` examples, the last position of each at which the answers
        differ, and whether there is one.
    """
    differ = answers_differ(clean, corrupted)
    some = differ.any(axis=-1)
    # Stable, so that examples keep their order where all have a counterpart.
    rows = jnp.argsort(~some, stable=True)[:n]
    clean, corrupted = jax.tree.map(lambda x: x[rows], (clean, corrupted))
    last = differ.shape[-1] - 1 - jnp.argmax(differ[rows, ::-1], axis=-1)
    return clean, corrupted, last.astype(jnp.int32), some[rows]
