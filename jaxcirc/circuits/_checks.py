"""What is wrong with pairs or an objective, before anything is computed."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._core import Objective
from ..models import Transformer
from ..tasks import Pairs
from ._values import objective_name, values_of


def check_pairs(pairs: Pairs, *, who: str) -> None:
    """Refuse pairs of different lengths, and answers that are right and wrong at once.

    Values are looked at where they are known, and not under `jit`.

    Args:
        pairs: Clean and corrupted sequences.
        who: Who complains.

    Raises:
        ValueError: as said, or no pair has answers of both kinds.
    """
    clean, corrupted = pairs.clean.shape, pairs.corrupted.shape
    if clean != corrupted or len(clean) != 2:
        raise ValueError(
            f"{who}: clean and corrupted sequences must both have the shape (example, "
            f"pos); got {clean} and {corrupted}. What is exchanged between two runs "
            "needs partners of one length."
        )
    if any(isinstance(x, Tracer) for x in (pairs.right, pairs.wrong)):
        return
    right, wrong = np.asarray(pairs.right), np.asarray(pairs.wrong)
    same = (right[:, :, None] == wrong[:, None, :]) & (right[:, :, None] >= 0)
    if same.any():
        example, r, _ = np.argwhere(same)[0]
        raise ValueError(
            f"{who}: in pair {example} the answer {right[example, r]} is both right "
            "and wrong, so their difference says nothing. Leave such pairs out."
        )
    if not ((right >= 0).any(axis=1) & (wrong >= 0).any(axis=1)).any():
        raise ValueError(
            f"{who}: none of the {len(right)} pairs has a right and a wrong answer. "
            "Take more pairs, or another way to corrupt them."
        )


def check_moves(
    model: Transformer, pairs: Pairs, objective: Objective, method: str
) -> None:
    """Refuse an objective that is flat at the clean run where only that is looked at.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences; a few are looked at.
        objective: What is measured.
        method: Which looks at the clean run alone, for the message.

    Raises:
        ValueError: its gradient by the logits is lost in rounding there, and is not at
            the corrupted run.
    """
    leaves = jax.tree.leaves((model, pairs))
    if any(isinstance(x, Tracer) for x in leaves):
        return
    few = jax.tree.map(lambda x: x[:8], pairs)
    clean, corrupted = (float(_slope(model, few, objective, x)) for x in few[:2])
    if clean <= 100 * float(jnp.finfo(jnp.float32).eps) * corrupted:
        name = objective_name(objective)
        raise ValueError(
            f"attribute: {name} is flat at the clean run (its gradient by the logits "
            f"is {clean:.1e} there and {corrupted:.1e} at the corrupted run), so "
            f"{method} would say 0 of every edge. Take a method that looks elsewhere, "
            "such as 'eap_ig_inputs' or 'clean_corrupted', or a logit difference."
        )


@eqx.filter_jit
def _slope(model, pairs, objective, tokens):
    """The largest gradient of the objective by a logit of a run."""

    def total(logits):
        values, counts = values_of(objective, logits, pairs)
        return jnp.where(counts, values, 0).sum()

    return jnp.abs(jax.grad(total)(model(tokens))).max()
