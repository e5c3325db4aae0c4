"""From gradients and differences to a score for every edge."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import at_least_float32, widened
from ..models import Transformer
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
        columns = _by_run(_pulled(block, gradients, acts), n_examples)
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


def _pulled(block, gradients: dict[str, Array], acts: dict[str, Array]) -> Array:
    """Gradients at the stream, one for each query, key and value input of a layer."""
    attn, norm = block
    back = []
    for name in ("q", "k", "v"):
        site, weight = f"attn.{name}", getattr(attn, f"W_{name.upper()}")
        gradient = at_least_float32(gradients[site])
        if attn.config.clip_qkv is not None:
            inside = jnp.abs(acts[site]) < attn.config.clip_qkv
            gradient = jnp.where(inside, gradient, 0)
        back.append(
            jnp.einsum(
                "npcd,mcd->cnpm",
                gradient,
                weight.astype(gradient.dtype),
                precision=_HIGHEST,
            )
        )
    columns = jnp.concatenate(back)
    if norm is None:
        return columns
    stream = acts["resid_pre"].astype(columns.dtype)
    # The gradient of a norm is a small difference, which half precision would lose.
    _, pull = jax.vjp(eqx.Partial(widened(norm)), stream)
    return jax.vmap(lambda column: pull(column)[0])(columns)


def _by_run(columns: Array, n_examples: int) -> Array:
    """Columns of all runs, summed over the runs of each example."""
    runs = columns.reshape(columns.shape[0], -1, n_examples, *columns.shape[2:])
    return at_least_float32(runs).sum(axis=1)


def _product(setting: Setting, differences: Array, columns: Array) -> Array:
    """Each source's difference times each column, by example and span or summed."""
    if setting.spans is None:
        out = "bsc" if setting.each else "sc"
        return jnp.einsum(f"sbpm,cbpm->{out}", differences, columns, precision=_HIGHEST)

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
