"""Which weights to sample: for weight-refined coefficients."""

from collections.abc import Sequence
from typing import TypeVar

import equinox as eqx

from .._core import select_paths

Params = TypeVar("Params")


def path_mask(params: Params, patterns: Sequence[str]) -> Params:
    """True at the arrays whose path matches a pattern (Wang et al. 2024, wrLLC).

    Sampling under a mask gives the weight-refined coefficient of the weights that it
    keeps, all others being held at w*. `jaxcirc.models.head_masks` has masks of single
    attention heads.

    Args:
        params: The weights.
        patterns: Shell-style, such as `blocks.attn.*`; a pattern also matches
            everything below the path it names.

    Returns:
        A pytree like `params`, with one boolean for each floating-point array.

    Raises:
        ValueError: a pattern matches no floating-point array; the message has near
            names.

    Example:
        >>> import jax.numpy as jnp
        >>> weights = {"attn": {"W_Q": jnp.ones(2)}, "mlp": {"W_in": jnp.ones(3)}}
        >>> path_mask(weights, ["attn.*"])
        {'attn': {'W_Q': True}, 'mlp': {'W_in': False}}
    """
    weights = eqx.filter(params, eqx.is_inexact_array)
    return select_paths(weights, patterns, what="llc.path_mask")
