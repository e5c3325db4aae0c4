"""Masks of single heads: booleans in the shape of a transformer's weights."""

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import PyTree

from ._transformer import Transformer


def head_masks(model: Transformer) -> dict[str, PyTree]:
    """A mask for every attention head, by its name, such as `L0H1`.

    A head is its slices of W_Q, W_K, W_V, W_O and of their biases, with the key head
    that its query head reads; the output bias belongs to no head. With grouped heads a
    key head is in the masks of several, so masks overlap. Every array is boolean and
    broadcasts to its weight. `llc.sweep` takes them as `masks`.

    Args:
        model: The model whose heads are masked.

    Returns:
        Name -> booleans in the structure of the weights, layer by layer.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> masks = head_masks(model)
        >>> list(masks), masks["L0H1"].blocks.attn.W_Q.ravel().tolist()
        (['L0H0', 'L0H1'], [False, True])
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
            # One entry that broadcasts: a whole mask per head would be a whole model.
            return jnp.zeros((1,) * x.ndim, bool)
        axis, place = axes[names[-1]]
        shape = [1] * x.ndim
        shape[0], shape[axis] = x.shape[0], x.shape[axis]
        at = [0] * x.ndim
        at[0], at[axis] = layer, place
        return jnp.zeros(shape, bool).at[tuple(at)].set(True)

    return jtu.tree_map_with_path(leaf, eqx.filter(model, eqx.is_inexact_array))
