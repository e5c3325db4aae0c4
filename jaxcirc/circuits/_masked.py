"""The objective of masked runs, for methods that search for a mask."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models import EdgeMask
from ._setting import Setting
from ._values import values_of


def masked_values(setting: Setting, keep: Float[Array, "source destination"]) -> Array:
    """The objective of each example when only some edges are kept, 0 without one.

    Args:
        setting: The question.
        keep: 1 keeps an edge, 0 cuts it.
    """
    model, pairs = setting.model, setting.pairs
    mask = EdgeMask(model, keep, setting.instead, setting.graph)
    logits = model(pairs.clean, edits=(mask,))
    values, counts = values_of(setting.objective, logits, pairs)
    return jnp.where(counts, values * setting.weights, 0)


def counted(setting: Setting) -> Float[Array, " example"]:
    """What each example counts, 0 where the objective has no value.

    Args:
        setting: The question.
    """
    logits = setting.model(setting.pairs.clean)
    _, counts = values_of(setting.objective, logits, setting.pairs)
    return jnp.where(counts, setting.weights, 0)


def mean_masked(setting: Setting) -> Callable[[Array], Float[Array, ""]]:
    """The objective's mean over examples as a function of the mask.

    Args:
        setting: The question.
    """
    number = counted(setting).sum()
    return lambda keep: masked_values(setting, keep).sum() / number
