"""The value that an objective has for each pair, from logits that are known."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._core import AbstractObjective, Objective, at_least_float32
from ..objectives import LogitDifference
from ..tasks import Pairs

# What is measured unless something else is said.
LOGIT_DIFFERENCE = LogitDifference()


def values_of(
    objective: Objective, logits: Float[Array, "example pos d_vocab"], pairs: Pairs
) -> tuple[Float[Array, " example"], Bool[Array, " example"]]:
    """The objective's value for each pair, 0 where it has none, and where it has one.

    Args:
        objective: An objective of pairs, or any function of a model and pairs that
            gives a value for each.
        logits: What the model says of `pairs.clean`, in whichever run it is about.
        pairs: The pairs.

    Raises:
        ValueError: a function calls the model on something else than `pairs.clean`, or
            does not give one value for each pair.
    """
    model = _model_that_said(logits, pairs)
    if isinstance(objective, AbstractObjective):
        values, mask = objective.parts(model, pairs)
        number = mask.sum(axis=-1)
        # Without a place that counts this is 0 / 1, where NaN would spoil gradients.
        total = jnp.where(mask, at_least_float32(values), 0).sum(axis=-1)
        return total / number.clip(1).astype(total.dtype), number > 0
    values = objective(model, pairs)
    if jnp.shape(values) != logits.shape[:1]:
        raise ValueError(
            f"circuits: a function `(model, pairs)` must give one value for each of "
            f"the {len(logits)} pairs; got shape {list(jnp.shape(values))}. Leave out "
            "the mean over pairs: it is taken once, over all of them."
        )
    return at_least_float32(values), jnp.ones(logits.shape[:1], bool)


def _model_that_said(logits: Array, pairs: Pairs) -> Callable[[Any], Array]:
    def model(tokens):
        # One run has been made, with patches in it; there is no other to ask for.
        if tokens is not pairs.clean:
            raise ValueError(
                "circuits: an objective may call the model on `pairs.clean` alone, "
                "once for all pairs; what a run makes of other tokens depends on what "
                "is patched in it. Give answers or logits along with the pairs."
            )
        return logits

    return model


def objective_name(objective: Objective) -> str:
    """What an objective is called: its class, or the name of a function."""
    if isinstance(objective, AbstractObjective):
        return type(objective).__name__
    return getattr(objective, "__name__", type(objective).__name__)
