"""Pairs of prompts of a task, all of which have an answer."""

import jax
import numpy as np
from jaxtyping import Array, Key

from ..tasks import AbstractTask, Pairs, Split
from ._checks import check_pairs


def pairs(
    task: AbstractTask, n: int, *, split: Split = "train", key: Key[Array, ""]
) -> Pairs:
    """Up to `n` clean and corrupted sequences of a task, with right and wrong answers.

    Those whose corrupted partner has the same answer are left out, so there may be
    fewer than `n`.

    Args:
        task: What is asked.
        n: How many; at least 1.
        split: Where clean sequences are from.
        key: Random key of the draw.

    Returns:
        Pairs of sequences of equal length, with named positions.

    Raises:
        ValueError: no pair has a right and a wrong answer, or one answer is both.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc import circuits
        >>> from jaxcirc.tasks import Induction
        >>> pairs = circuits.pairs(Induction(7, 9, 3, 4), 4, key=jr.key(0))
        >>> pairs.clean.shape, pairs.right.shape
        ((4, 9), (4, 1))
    """
    drawn = task.pairs(n, split=split, key=key)
    answered = (np.asarray(drawn.right) >= 0).any(axis=1)
    answered &= (np.asarray(drawn.wrong) >= 0).any(axis=1)
    if answered.any() and not answered.all():
        drawn = jax.tree.map(lambda x: x[answered], drawn)
    check_pairs(drawn, who="pairs")
    return drawn
