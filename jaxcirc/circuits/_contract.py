"""From gradients and differences to a score for every edge."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import at_least_float32
from ..models import Transformer
from ._pulled import pulled
from ._reads import Reads
from ._setting import Setting

_HIGHEST = jax.lax.Precision.HIGHEST


def contract(
    setting: Setting, differences: Float[Array, "source example pos d_model"], at: Reads
) -> Float[Array, "..."]:
    """The product of what a source would change and what a destination would feel.

        score[u, v] = Σ_pos (instead_u - written_u) · ∂objective / ∂(input of v)

    summed over examples too, unless each is asked for. Layer by layer the gradient is
    pulled from queries, keys and values back to the stream, and contracted at once with
    all sources, so nothing is held for sources x destinations x positions.

    Args:
        setting: The question, whose `shape` the result has.
        differences: What is put in place minus what the clean run writes.
        at: Gradients of one run or of several, stacked along the examples; the sum over
            runs is taken.
    """
    model, n_examples = setting.model, len(setting.weights)

    def layer(_, sliced):
        block, gradients, acts = sliced
        columns = pulled(block, gradients, acts, n_examples)
        if "mlp.in" in gradients:
            mlp = _by_run(gradients["mlp.in"][None], n_examples)
            columns = jnp.concatenate([columns, mlp])
        return None, _product(setting, differences, columns)

    gradients = dict(at.gradients)
    logits = _by_run(gradients.pop("logits.in")[None], n_examples)
    sliced = (_attention(model), gradients, at.acts)
    _, layers = jax.lax.scan(layer, None, sliced)
    # From [layer, ..., source, column] to the order of destinations.
    layers = jnp.moveaxis(layers, 0, -2)
    layers = layers.reshape(*layers.shape[:-2], -1)
    last = _product(setting, differences, logits)
    scores = jnp.concatenate([layers, last], axis=-1)
    exists = jnp.broadcast_to(setting.graph.exists, scores.shape)
    return jnp.where(exists, scores, 0)


def _attention(model: Transformer):
    """What a layer's attention reads with, stacked by layer."""
    return model.blocks.attn, model.blocks.ln1


def _by_run(columns: Array, n_examples: int) -> Array:
    """Columns of all runs, summed over the runs of each example."""
    runs = columns.reshape(columns.shape[0], -1, n_examples, *columns.shape[2:])
    return at_least_float32(runs).sum(axis=1)


def _product(setting: Setting, differences: Array, columns: Array) -> Array:
    """Each source's difference times each column, by example and span or summed."""
    if setting.spans is None and not setting.each:
        # One flat product: contracted over three axes it takes five times as long.
        rows = differences.reshape(differences.shape[0], -1)
        flat = columns.reshape(columns.shape[0], -1)
        return jnp.einsum("sk,ck->sc", rows, flat, precision=_HIGHEST)
    if setting.spans is None:
        return jnp.einsum("sbpm,cbpm->bsc", differences, columns, precision=_HIGHEST)

    def one(difference, column, spans):
        # At every position first: a span's share is a sum over its positions.
        product = jnp.einsum("spm,cpm->psc", difference, column, precision=_HIGHEST)
        return jax.ops.segment_sum(product, spans, setting.n_spans)

    by_example = (
        jnp.moveaxis(differences, 1, 0),
        jnp.moveaxis(columns, 1, 0),
        setting.spans,
    )
    if setting.each:
        return jax.lax.map(lambda x: one(*x), by_example)

    def add(total, x):
        return total + one(*x), None

    shape = (setting.n_spans, differences.shape[0], columns.shape[0])
    return jax.lax.scan(add, jnp.zeros(shape, columns.dtype), by_example)[0]
