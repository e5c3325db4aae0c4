"""Gradients of the loss: of weights, of what heads write, and of their products."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._core import widened
from ..models import Add, Transformer, TransformerConfig, capture, sites
from ..objectives import CrossEntropy
from ..tasks import Batch
from ._factored import Factored


def ov_gradient(model: Transformer, batch: Batch) -> Factored:
    """dL/d(W_V W_O) of every head: the gradient at a matrix of zeros added to each.

    It is a sum over queries: what the head read there, Σ_key pattern · normed, times
    the loss's gradient at what heads write there. So its rank is at most the number of
    tokens, and it is kept as these two factors, [d_model, token] and [token, d_model].

    It is not what gradients of W_V and W_O alone say: dL/dW_V is this times W_Oᵀ, and
    dL/dW_O is W_Vᵀ times this (biases aside). L is the mean cross-entropy of the batch,
    in nats.

    Args:
        model: Whose heads; run in float32 or wider.
        batch: The examples.

    Returns:
        [layer, head, d_model, d_model], in float32 or wider; `dense` multiplies it out.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.tasks import Batch
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> tokens = jnp.array([[0, 1, 2], [3, 4, 0]])
        >>> batch = Batch(tokens, tokens, tokens >= 0)
        >>> found = eqx.filter_jit(ov_gradient)(model, batch)
        >>> found.dense().shape, found.left.shape[-1]  # 2 × 3 tokens
        ((1, 2, 4, 4), 6)
        >>> slopes = eqx.filter_jit(weight_gradients)(model, batch)
        >>> W_V = slopes.blocks.attn.W_V
        >>> by_hand = found.dense()[0, 1] @ model.blocks.attn.W_O[0, 1].T
        >>> bool(jnp.allclose(by_hand, W_V[0, :, 1], atol=1e-6))
        True
    """
    model = widened(model)
    _, acts = capture(model, batch.tokens, ov_gradient_sites(model.config))
    slopes = result_gradient(model, batch)
    return _factored(_read(model.config, acts), _flat(slopes))


def ov_gradient_sites(config: TransformerConfig) -> tuple[str, str]:
    """Sites that the gradient of W_V W_O is made of: what heads read, and from where.

    Without a norm before attention, heads read the residual stream itself.
    """
    normed = "ln1.normalized" in sites(config)
    return ("ln1.normalized" if normed else "resid_pre", "attn.pattern")


def ov_gradient_matrices(
    config: TransformerConfig, acts: Mapping[str, Array], slopes: Array
) -> Float[Array, "layer head d_model d_model"] | Factored:
    """`ov_gradient` in whichever form is smaller: factors for few tokens, else dense.

    Args:
        config: The model's config.
        acts: What `ov_gradient_sites` names, of the weights in float32 or wider.
        slopes: What `result_gradient` gives.
    """
    read, slopes = _read(config, acts), _flat(slopes)
    # Two factors of [d_model, token] hold more than the product once tokens are many.
    if slopes.shape[1] * slopes.shape[2] < config.d_model:
        return _factored(read, slopes)
    # One product for all heads, and their common right factor is never repeated.
    return jnp.einsum("lbhqm,lbqn->lhmn", read, slopes)


def _read(
    config: TransformerConfig, acts: Mapping[str, Array]
) -> Float[Array, "layer example head query_pos d_model"]:
    """What every head reads at every query: its pattern's mean of normed positions."""
    normed, pattern = (acts[name] for name in ov_gradient_sites(config))
    read = jnp.einsum("l...hqk,l...km->l...hqm", pattern, normed)
    return read.reshape(len(read), -1, *read.shape[-3:])


def _flat(slopes: Array) -> Float[Array, "layer example pos d_model"]:
    return slopes.reshape(len(slopes), -1, *slopes.shape[-2:])


def _factored(read: Array, slopes: Array) -> Factored:
    left = jnp.moveaxis(read, (2, 4), (1, 2))
    left = left.reshape(*left.shape[:3], -1)
    right = slopes.reshape(len(slopes), 1, -1, slopes.shape[-1])
    # Heads differ in what they read, not in what the loss asks of their sum.
    right = jnp.broadcast_to(right, (*left.shape[:2], *right.shape[2:]))
    return Factored(left, right)


def result_gradient(
    model: Transformer, batch: Batch
) -> Float[Array, "layer *example pos d_model"]:
    """Gradient of the loss at what the heads of each layer write together.

    Every head's output is added to the same sum, so this is the gradient at each head's
    output too. L is the mean cross-entropy of the batch, in nats: a position's share
    gets smaller as the batch grows. It costs one backward pass.

    Args:
        model: Whose heads; run in float32 or wider.
        batch: The examples.

    Returns:
        In nats per unit of the residual stream; NaN if no position of the batch counts.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.tasks import Batch
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> tokens = jnp.array([[0, 1, 2], [3, 4, 0]])
        >>> batch = Batch(tokens, tokens, tokens >= 0)
        >>> eqx.filter_jit(result_gradient)(model, batch).shape
        (1, 2, 3, 4)
    """
    model = widened(model)
    c = model.config
    shape = (c.n_layers, *batch.tokens.shape, 1, c.d_model)

    def loss(delta: Array) -> Array:
        # One delta for all heads, so its gradient is that of the sum, once per head.
        edited = functools.partial(model, edits=(Add("attn.result", delta),))
        return CrossEntropy().mean(edited, batch)

    return jax.grad(loss)(jnp.zeros(shape, model.W_E.dtype))[..., 0, :] / c.n_heads


def weight_gradients(model: Transformer, batch: Batch) -> PyTree:
    """Gradients of the mean cross-entropy of a batch, in the structure of the model.

    They are taken of the weights in float32 or wider: half precision would round small
    ones away. The loss is in nats, and averages over all positions that count.

    Args:
        model: The weights.
        batch: The examples.

    Returns:
        A model that holds gradients in place of weights; NaN if no position counts.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.tasks import Batch
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> tokens = jnp.array([[0, 1, 2], [3, 4, 0]])
        >>> batch = Batch(tokens, tokens, tokens >= 0)
        >>> slopes = eqx.filter_jit(weight_gradients)(model, batch)
        >>> # Logits that rise together change no answer.
        >>> bool(jnp.allclose(slopes.W_U.sum(axis=1), 0, atol=1e-6))
        True
    """
    return jax.grad(CrossEntropy().mean)(widened(model), batch)
