"""Masks of single heads: booleans in the shape of a transformer's weights."""

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import PyTree

from ._transformer import Transformer


def head_masks(model: Transformer) -> dict[str, PyTree]:
    """A mask for every attention head, by its name, such as `L0H1`.

    A head is its slices of W_Q, W_K, W_V, W_O and of their biases, with the key head
    that its query head reads; the output bias belongs to no head. Every array is
    boolean and broadcasts to its weight.

    Args:
        model: Whose heads.
    """
    c = model.config
    return {
        f"L{layer}H{head}": _head_mask(model, layer, head)
        for layer in range(c.n_layers)
        for head in range(c.n_heads)
    }


def _head_mask(model: Transformer, layer: int, head: int) -> PyTree:
    c = model.config
    key_head = head * c.sizes.n_kv_heads // c.n_heads
    # Where each weight keeps its heads; the leading axis of all is the layer.
    axes = {"W_Q": (2, head), "W_K": (2, key_head), "W_V": (2, key_head)}
    axes |= {"W_O": (1, head), "b_Q": (1, head), "b_K": (1, key_head)}
    axes["b_V"] = (1, key_head)

    def leaf(path, x):
        names = [getattr(entry, "name", None) for entry in path]
        if names[:2] != ["blocks", "attn"] or names[-1] not in axes:
            return jnp.zeros((1,) * x.ndim, bool)
        axis, place = axes[names[-1]]
        shape = [1] * x.ndim
        shape[0], shape[axis] = x.shape[0], x.shape[axis]
        at = [0] * x.ndim
        at[0], at[axis] = layer, place
        return jnp.zeros(shape, bool).at[tuple(at)].set(True)

    return jtu.tree_map_with_path(leaf, eqx.filter(model, eqx.is_inexact_array))
