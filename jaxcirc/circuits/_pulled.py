"""Gradients of queries, keys and values, pulled back to the stream that they read."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import at_least_float32

_HIGHEST = jax.lax.Precision.HIGHEST


def pulled(
    block: tuple[Any, Any],
    gradients: dict[str, Array],
    acts: dict[str, Array],
    n_examples: int,
) -> Float[Array, "column example pos d_model"]:
    """Gradients at the stream for each query, key and value input, summed over runs.

    A norm is a linear map A divided by a scale, y = A x / s, so its pull-back of what
    the weights W of a head bring back is, over runs r,

        Σ_r Aᵀ W g_r / s_r - Σ_r ∇s_r (Wᵀ y_r · g_r) / s_r.

    The first sum is taken before the product with Aᵀ W, which is the same in all runs,
    and in the second each run has one number for each column: nothing of the size of a
    stream is held for each column and run.

    Args:
        block: What attention reads with in this layer, and the norm before it.
        gradients: Of queries, keys and values; runs are stacked along the examples.
        acts: The streams that attention reads, and where they are clipped, queries,
            keys and values.
        n_examples: How many examples a run has.
    """
    attn, norm = block
    by_run = lambda x: x.reshape(-1, n_examples, *x.shape[1:])
    read = None
    if norm is not None:
        read = _normalised(norm, by_run(at_least_float32(acts["resid_pre"])))
    columns = []
    for name in ("q", "k", "v"):
        site = f"attn.{name}"
        gradient = at_least_float32(gradients[site])
        if attn.config.clip_qkv is not None:
            inside = jnp.abs(acts[site]) < attn.config.clip_qkv
            gradient = jnp.where(inside, gradient, 0)
        weight = getattr(attn, f"W_{name.upper()}").astype(gradient.dtype)
        columns.append(_columns(norm, read, by_run(gradient), weight))
    return jnp.concatenate(columns)


def _normalised(norm, stream: Array) -> tuple[Array, Array, Array]:
    """A x / s without the weight, the same with it, and s, of each run."""
    if norm.kind.startswith("layer"):
        stream = stream - stream.mean(axis=-1, keepdims=True)
    scale = jnp.sqrt(jnp.square(stream).mean(axis=-1, keepdims=True) + norm.eps)
    return stream / scale, norm.held(stream, scale), scale


def _columns(norm, read, gradient: Array, weight: Array) -> Array:
    """The pull-back of the gradients [run, example, pos, column, d_head]."""
    product = lambda out, *arrays: jnp.einsum(out, *arrays, precision=_HIGHEST)
    if norm is None:
        return product("npcd,mcd->cnpm", gradient.sum(axis=0), weight)
    unit, normed, scale = read
    gradient = gradient / scale[..., None]
    columns = product("npcd,mcd->cnpm", gradient.sum(axis=0), _transposed(norm, weight))
    # ∇s is the normalised stream over its width, so the scale's part is small.
    read = product("rnpm,mcd->rnpcd", normed, weight)
    felt = (read * gradient).sum(axis=-1) / unit.shape[-1]
    return columns - product("rnpm,rnpc->cnpm", unit, felt)


def _transposed(norm, weight: Array) -> Array:
    """Aᵀ W: the norm's linear map, transposed, of what each column reads."""
    d_model = weight.shape[0]
    rows = weight.reshape(d_model, -1).T
    one = jnp.ones((1, 1), rows.dtype)
    _, pull = jax.vjp(lambda x: norm.held(x, one), jnp.zeros_like(rows))
    return pull(rows)[0].T.reshape(weight.shape)
