"""Architectures of different coefficients as one stack."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .._core import stack_trees
from ._architecture import AbstractArchitecture


def stack_configs(configs: Sequence[AbstractArchitecture]) -> Any:
    """One architecture whose coefficients are arrays with an axis in front.

    `jax.vmap` or `jax.lax.map` over it, and over dictionaries and states with the same
    axis, runs all of them in one program. Whatever fixes shapes has to be equal; the
    bound of top-k is raised to the largest k among them.

    Args:
        configs: Architectures of one kind and size.

    Returns:
        An architecture of the same kind, whose leaves are stacked.

    Raises:
        ValueError: there are none, or they differ in what fixes shapes.

    Example:
        >>> from jaxcirc import saes
        >>> configs = [saes.TopK(d_in=8, d_sae=32, k=k) for k in (2, 4, 8)]
        >>> both = saes.stack_configs(configs)
        >>> both.k.tolist(), both.most
        ([2, 4, 8], 8)
    """
    if not configs:
        raise ValueError("stack_configs: got no architecture; give at least one.")
    bounds = [b for config in configs if (b := _bound(config)) is not None]
    same = [_bounded(config, max(bounds, default=None)) for config in configs]
    arrays = [jax.tree.map(jnp.asarray, config) for config in same]
    structures = {jax.tree.structure(config) for config in arrays}
    if len(structures) > 1:
        first, other = sorted(str(s) for s in structures)[:2]
        raise ValueError(
            "stack_configs: architectures of one stack must be of one kind and size, "
            f"and differ in coefficients alone; got {first} and {other}. Stack those "
            "of each size by themselves."
        )
    return stack_trees(arrays)


def _bound(config: AbstractArchitecture) -> int | None:
    """The largest k that a config needs; None of one without k."""
    most, k = getattr(config, "most", None), getattr(config, "k", None)
    return int(k) if most is None and isinstance(k, int) else most


def _bounded(config: AbstractArchitecture, most: int | None) -> AbstractArchitecture:
    """The config for a larger k, if it has one."""
    return dataclasses.replace(config, most=most) if hasattr(config, "most") else config
