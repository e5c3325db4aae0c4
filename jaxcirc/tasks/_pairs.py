"""Prompts in pairs: one with its answers, and a counterpart with others."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ._batch import Batch


class Pairs(NamedTuple):
    """Clean and corrupted sequences of equal length, and what follows the clean one.

    What circuits are found with: a run on the corrupted sequence says otherwise at the
    position `end`, so what is exchanged between the two runs shows what carries the
    answer. Right answers are those of the clean sequence. Wrong ones are what a model
    would say that followed the corrupted one instead, so the two lists share nothing.
    Lists shorter than `k` are filled up with -1. An example for which no counterpart
    with another answer was found has -1 alone, and no objective counts it.

    Args:
        clean: Sequences of tokens.
        corrupted: Their counterparts.
        right: Right answers at `end` of the clean sequence; -1 for none.
        wrong: Wrong answers there; -1 for none.
        positions: Places of the clean sequence by name. `end` is the one whose logits
            give the answer; what other names there are, the task says.
    """

    clean: Int[Array, "*example pos"]
    corrupted: Int[Array, "*example pos"]
    right: Int[Array, "*example k"]
    wrong: Int[Array, "*example k"]
    positions: Mapping[str, Int[Array, "*example"]]


def answers_differ(clean: Batch, corrupted: Batch) -> Bool[Array, "*example pos"]:
    """Where both sequences have an answer that counts, and not the same one.

    These are the positions at which a right answer can be compared with a wrong one:
    `metrics.logit_difference` takes the clean targets as right, the corrupted ones as
    wrong, and this as its mask.

    Args:
        clean: Examples.
        corrupted: The counterpart of each, of the same shape.

    Returns:
        True at such positions.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.tasks import Batch
        >>> three, counts = jnp.zeros(3, int), jnp.array([True, True, False])
        >>> clean = Batch(three, jnp.array([1, 1, 1]), counts)
        >>> corrupted = Batch(three, jnp.array([1, 2, 2]), counts)
        >>> answers_differ(clean, corrupted).tolist()
        [False, True, False]
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
        n: How many to keep.

    Returns:
        Both batches with `n` examples, the last position of each at which the answers
        differ, and whether there is one.
    """
    differ = answers_differ(clean, corrupted)
    some = differ.any(axis=-1)
    # Stable, so that those with another answer stay in the order of their draw.
    rows = jnp.argsort(~some, stable=True)[:n]
    clean, corrupted = jax.tree.map(lambda x: x[rows], (clean, corrupted))
    last = differ.shape[-1] - 1 - jnp.argmax(differ[rows, ::-1], axis=-1)
    return clean, corrupted, last.astype(jnp.int32), some[rows]
