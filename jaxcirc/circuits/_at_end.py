"""Logits of a residual stream, no more of them than an objective looks at."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import Objective
from ..models import Transformer, unembed
from ..objectives import AnswerProbability, LogitDifference, ProbabilityDifference
from ..tasks import Pairs

# Objectives that read the logits of a pair's position `end`, and no others.
_AT_END = (LogitDifference, ProbabilityDifference, AnswerProbability)


def logits_of(
    model: Transformer,
    stream: Float[Array, "example pos d_model"],
    pairs: Pairs,
    objective: Objective,
) -> Float[Array, "example pos d_vocab"]:
    """The logits of streams behind the last layer, as an objective may look at them.

    A large vocabulary makes the unembedding of all positions dearer than the layers. An
    objective that is known to read the position `end` alone gets its logits everywhere.

    Args:
        model: Whose final norm and unembedding.
        stream: What the logits read.
        pairs: The pairs that were run.
        objective: What is measured.
    """
    if not isinstance(objective, _AT_END):
        return unembed(model, stream)
    end = pairs.positions["end"][:, None, None]
    last = unembed(model, jnp.take_along_axis(stream, end, axis=1))
    return jnp.broadcast_to(last, (*stream.shape[:-1], last.shape[-1]))
