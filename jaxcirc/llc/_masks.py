"""Masks that say which weights are sampled, for weight-refined coefficients."""

from collections.abc import Sequence
from typing import TypeVar

import equinox as eqx

from .._core import select_paths

Params = TypeVar("Params")


def path_mask(params: Params, patterns: Sequence[str]) -> Params:
    """A mask that is True at the arrays whose path matches one of some patterns.

    Given to `estimate` as `mask`, or to `sweep` in `masks`, it makes the coefficient
    weight-refined (Wang et al. 2024): matching weights are sampled, and all others stay
    at w*. A mask keeps whole arrays; `jaxcirc.models.head_masks` has masks of single
    attention heads, which are parts of one.

    Args:
        params: The weights, or a model that holds them.
        patterns: Shell-style, such as `blocks.attn.*`; a pattern also matches
            everything below the path it names.

    Returns:
        A pytree like `params` with one boolean for each floating-point array, and None
        for every other leaf.

    Raises:
        ValueError: a pattern matches no floating-point array; the message has near
            names.

    Example:
        >>> import jax.numpy as jnp
        >>> weights = {"embed": jnp.zeros(3), "mlp": {"b": jnp.zeros(1)}}
        >>> path_mask(weights, ["mlp"])
        {'embed': False, 'mlp': {'b': True}}
    """
    weights = eqx.filter(params, eqx.is_inexact_array)
    return select_paths(weights, patterns, what="llc.path_mask")
