"""Which weights to sample: for weight-refined coefficients."""

from collections.abc import Sequence
from typing import TypeVar

import equinox as eqx

from .._core import select_paths

Params = TypeVar("Params")


def path_mask(params: Params, patterns: Sequence[str]) -> Params:
    """True at the arrays whose path matches a pattern (Wang et al. 2024, wrLLC).

    `jaxcirc.models.head_masks` has masks of single attention heads.

    Args:
        params: The weights.
        patterns: Shell-style, such as `blocks.attn.*`; a pattern also matches
            everything below the path it names.

    Raises:
        ValueError: a pattern matches no floating-point array; the message has near
            names.
    """
    weights = eqx.filter(params, eqx.is_inexact_array)
    return select_paths(weights, patterns, what="llc.path_mask")
