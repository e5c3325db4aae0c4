"""A model without the layers behind the last one whose activations are read."""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.random as jr

from ..models import Transformer, TransformerConfig, resolve_site, sites as site_table

# Fields of a config that may have an entry for each layer.
BY_LAYER = ("rotary_base", "rotary_factor", "window")


def layers_needed(config: TransformerConfig, names: Sequence[str]) -> int:
    """How many of the first layers decide the activations at some sites.

    Args:
        config: The model's config.
        names: The sites.
    """
    table, needed = site_table(config), 1
    for name in names:
        own, layer = resolve_site(name, table)
        before = own in ("embed", "pos_embed")
        needed = max(needed, 1 if before else (layer or 0) + 1)
        if layer is None and not before:
            return config.n_layers
    return needed


def first_layers(models: Transformer, n: int) -> Transformer:
    """The same model, or stack of models, with its first layers alone.

    What is computed there is the same, bit for bit, since no layer feels those behind
    it; logits are of another model, and nobody asks for them here.

    Args:
        models: One model, or several with a leading axis.
        n: How many layers to keep.
    """
    config = models.config
    if n == config.n_layers:
        return models
    cut = {
        name: getattr(config, name)[:n]
        for name in BY_LAYER
        if isinstance(getattr(config, name), tuple)
    }
    shorter = dataclasses.replace(config, n_layers=n, **cut)
    axis = models.W_E.ndim - 2
    blocks = jax.tree.map(
        lambda x: jax.lax.slice_in_dim(x, 0, n, axis=axis), models.blocks
    )
    kept = eqx.tree_at(lambda m: m.blocks, models, blocks)
    # The config belongs to the structure of the tree and not to its leaves.
    like = eqx.filter_eval_shape(lambda: Transformer(shorter, key=jr.key(0)))
    return jax.tree.unflatten(jax.tree.structure(like), jax.tree.leaves(kept))
