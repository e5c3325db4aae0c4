"""Heads that take back a token which stands in the text and is about to be said."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from ...models import Transformer, capture, unembed
from ._role import Role, RoleSpec
from ._scene import Scene

# The share of earlier tokens that count as predicted, those with the largest logits.
PREDICTED = 0.05


def copy_suppression(scene: Scene) -> Role:
    """How much of what a head does at the answer is copy suppression (CSPA).

    A head that suppresses copies attends to tokens of the text that the stream before
    it predicts, and writes against their unembedding (McDougall et al. 2023). The head
    is replaced by its mean r over pairs, to which that alone is added:

        r + Σ_k min(0, A_k <o_k, u_k> - w_k <r, u_k>) u_k,

    over the positions k whose tokens are the 5% of the text with the largest logits in
    the head's input, at least one, with A_k the attention from the end, o_k what the
    head writes about k, u_k the unit direction of the token of k in the unembedding and
    w_k the share of k in the attention to these. With p the answer of the model and
    KL(q || p) meant over pairs, the score is

        1 - KL(so replaced || p) / KL(replaced by its mean || p),

    1 if nothing else is lost, 0 where this explains no more than the mean does or
    where the mean is all the head writes; it may be negative.

    Args:
        scene: What was observed.
    """
    seen = _seen(scene.model, scene.pairs)
    score = jax.lax.map(lambda of: _of_layer(scene.model, seen, of), seen.layers)
    return Role(score, 0.0)


class _Seen(NamedTuple):
    """What is needed of the clean runs, of which the end of each alone.

    Args:
        tokens: What was read.
        end: Where the answer is asked for.
        logits_in: What the logits read there.
        directions: Unit directions that raise the logit of each token.
        layers: By layer: its weights, the stream that it reads and its attention at the
            end, values at all positions, the divisor behind attention.
    """

    tokens: Int[Array, "example pos"]
    end: Int[Array, " example"]
    logits_in: Float[Array, "example d_model"]
    directions: Float[Array, "example pos d_model"]
    layers: tuple[PyTree, ...]


def _seen(model: Transformer, pairs) -> _Seen:
    """Streams and attention at the end, and directions of the tokens of the text."""
    post = model.blocks.ln1_post is not None
    sites = ["resid_pre", "attn.pattern", "attn.v", "logits.in"]
    sites += ["ln1_post.scale"] if post else []
    _, acts = capture(model, pairs.clean, sites)
    end, example = pairs.positions["end"], jnp.arange(len(pairs.clean))
    pattern = acts["attn.pattern"][:, example, :, end]
    stream = acts["resid_pre"][:, example, end]
    scale = acts["ln1_post.scale"][:, example, end] if post else None
    # Indexed axes come first, so layers are put back before examples.
    layers = (model.blocks, stream, jnp.moveaxis(pattern, 1, 0), acts["attn.v"], scale)
    logits_in = acts["logits.in"][example, end]
    return _Seen(pairs.clean, end, logits_in, _directions(model, pairs.clean), layers)


def _directions(
    model: Transformer, tokens: Array
) -> Float[Array, "example pos d_model"]:
    """Unit directions in the stream that raise the logit of each token most."""
    W_U = model.W_E.T if model.W_U is None else model.W_U
    rows = jnp.moveaxis(W_U, 0, -1)[tokens]
    norm = model.ln_final
    if norm is not None:
        one = jnp.ones((*(1,) * rows.ndim,), rows.dtype)
        held = lambda x: norm.held(x, one)
        # With its divisor held the norm is linear, so its transpose gives directions.
        rows = jax.linear_transpose(held, rows)(rows)[0]
    length = jnp.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / jnp.where(length > 0, length, 1)


def _predicted(
    model: Transformer, seen: _Seen, stream: Float[Array, "example d_model"]
) -> Bool[Array, "example pos"]:
    """Which tokens of the text are those that a stream predicts most."""
    logits = unembed(model, stream)
    own = jnp.take_along_axis(logits, seen.tokens, axis=1)
    visible = jnp.arange(seen.tokens.shape[1])[None] <= seen.end[:, None]
    other = seen.tokens[:, :, None] != seen.tokens[:, None, :]
    # A tie is no prediction: where nothing is predicted, no token is.
    above = other & (own[:, None, :] >= own[:, :, None]) & visible[:, None, :]
    most = jnp.ceil(PREDICTED * (seen.end + 1).astype(own.dtype)).clip(1)
    return visible & (above.sum(axis=-1).astype(own.dtype) < most[:, None])


def _of_layer(model: Transformer, seen: _Seen, of) -> Float[Array, " head"]:
    """Scores of the heads of one layer."""
    block, stream, pattern, v, scale = of
    kept = _predicted(model, seen, stream)
    before = jax.nn.log_softmax(unembed(model, seen.logits_in))
    v = jnp.repeat(v, pattern.shape[1] // v.shape[-2], axis=-2)

    def head(of):
        attention, value, W_O = of
        out = jnp.einsum("npd,dm->npm", value, W_O)
        if block.ln1_post is not None:
            out = block.ln1_post.held(out, scale[:, None])
        result = jnp.einsum("np,npm->nm", attention, out)
        mean = result.mean(axis=0)
        only = _suppression(attention * kept.astype(out.dtype), out, mean, seen)

        def lost(instead):
            # Only what the head writes straight to the logits is exchanged.
            after = jax.nn.log_softmax(
                unembed(model, seen.logits_in + instead - result)
            )
            return (jnp.exp(after) * (after - before)).sum(axis=-1).mean()

        whole, rest = lost(mean[None]), lost(mean[None] + only)
        # Below this many nats both are rounding of the same logits.
        some = whole > 100 * jnp.finfo(whole.dtype).eps
        return jnp.where(some, 1 - rest / jnp.where(some, whole, 1), 0)

    with jax.default_matmul_precision("highest"):
        values = jnp.moveaxis(v, -2, 0)
        return jax.lax.map(head, (jnp.moveaxis(pattern, 1, 0), values, block.attn.W_O))


def _suppression(
    attention: Float[Array, "example pos"], out: Array, mean: Array, seen: _Seen
) -> Float[Array, "example d_model"]:
    """What a head writes against the tokens that it attends to, beyond its mean."""
    u = seen.directions
    along = attention * jnp.einsum("npm,npm->np", out, u)
    total = attention.sum(axis=1, keepdims=True)
    share = attention / jnp.where(total > 0, total, 1)
    usual = share * jnp.einsum("m,npm->np", mean, u)
    return jnp.einsum("np,npm->nm", jnp.minimum(along - usual, 0), u)


ROLE = RoleSpec(
    "copy_suppression",
    "takes back a token of the text that is about to be said",
    copy_suppression,
    0.1,
    paper="McDougall et al. (2023), Copy suppression",
)
