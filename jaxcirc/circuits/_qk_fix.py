"""Edges into queries and keys: the softmax anew, and linear only behind it."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._core import at_least_float32
from ..models import attention_pattern
from ._method import only_edges
from ._setting import Setting


def through_softmax(
    setting: Setting,
    differences: Float[Array, "source example pos d_model"],
    stream: Float[Array, "layer example pos d_model"],
    gradients: Float[Array, "run layer example head query_pos key_pos"],
    scores: Float[Array, "run *axes source destination"],
) -> Float[Array, "run *axes source destination"]:
    """Scores whose columns of queries and keys are taken through the softmax.

    The pattern with what the query or key would be is computed once for all runs, and
    multiplied by the gradient that each run has at the pattern.

    Args:
        setting: The question.
        differences: What is put in place minus what the clean run writes.
        stream: What attention reads in the clean run.
        gradients: Of the objective by the pattern, in each of some runs.
        scores: Of all edges, by gradients at queries and keys.
    """
    layers = jnp.arange(setting.model.config.n_layers)

    def layer(sliced):
        number, x, gradient = sliced
        one = lambda difference: _effects(setting, number, x, difference, gradient)
        return jax.lax.map(one, differences)

    each_layer = (layers, stream, jnp.moveaxis(gradients, 1, 0))
    effects = jax.lax.map(layer, each_layer)
    # [layer, source, run, *axes, column] to [run, *axes, source, layer, column].
    effects = jnp.moveaxis(effects, (0, 1), (-2, -3))
    fixed = effects.reshape(*effects.shape[:-2], -1)
    names = np.array([name[-2:] for name in setting.graph.destinations])
    columns = np.flatnonzero((names == ".q") | (names == ".k"))
    return only_edges(setting.graph, scores.at[..., columns].set(fixed))


def _effects(
    setting: Setting, layer: Array, x: Array, difference: Array, gradient: Array
) -> Float[Array, "run *axes column"]:
    """What one source does to the queries and keys of a layer, linear behind them."""
    model, c = setting.model, setting.model.config
    attn, norm = jax.tree.map(lambda a: a[layer], (model.blocks.attn, model.blocks.ln1))
    normed = lambda y: y if norm is None else norm(y)
    clean, moved = normed(x), normed(x + difference.astype(x.dtype))
    q, k = (attn.projected(name, clean) for name in "qk")
    # A norm over all heads at once lets one patched head change the others.
    apart = c.qk_norm == "all"
    base = attention_pattern(model, layer, q, k)

    def pattern(name, here):
        patched = jnp.where(here, attn.projected(name, moved), q if name == "q" else k)
        pair = (patched, k) if name == "q" else (q, patched)
        return attention_pattern(model, layer, *pair) - base

    def columns(name, n_columns):
        heads = jnp.eye(n_columns, dtype=bool) if apart else jnp.ones((1, 1), bool)
        heads = heads[:, None, None, :, None]

        def one(span):
            change = lambda head: pattern(name, head & _inside(setting, span))
            changes = at_least_float32(jax.lax.map(change, heads))
            felt = at_least_float32(gradient)
            by_head = jnp.einsum("nbhqk,rbhqk->nrbh", changes, felt)
            if apart:
                return by_head.sum(axis=-1).transpose(1, 2, 0)
            # Query heads that share a key head feel its change together.
            return by_head[0].reshape(*by_head.shape[1:3], n_columns, -1).sum(axis=-1)

        spans = jnp.arange(max(setting.n_spans, 1))
        return jax.lax.map(one, spans)

    both = [columns("q", c.n_heads), columns("k", c.sizes.n_kv_heads)]
    return _by_axes(setting, jnp.concatenate(both, axis=-1))


def _inside(setting: Setting, span: Array) -> Array:
    """Positions of a span as a mask of queries or keys, all of them without spans."""
    if setting.spans is None:
        return jnp.ones((1, 1, 1, 1), bool)
    return (setting.spans == span)[..., None, None]


def _by_axes(
    setting: Setting, effects: Float[Array, "span run example column"]
) -> Float[Array, "run *axes column"]:
    """The axes of a setting in their order, without those that it does not have."""
    effects = jnp.moveaxis(effects, 0, 2)
    effects = effects if setting.each else effects.sum(axis=1, keepdims=True)
    shape = setting.shape[:-2]
    return effects.reshape(effects.shape[0], *shape, effects.shape[-1])
