"""What each part of a model writes into the residual stream."""

from collections.abc import Sequence

import equinox as eqx
import jax
from jaxtyping import Array, Float, Integer

from ._capture import capture
from ._intervention import AbstractIntervention
from ._transformer import Transformer


class Written(eqx.Module):
    """What the embedding, every head and every MLP write into the residual stream.

    Together with biases, which are the same for all tokens, they add up to it.

    Args:
        embed: What token embeddings write.
        pos_embed: What learned positions write, the same for all sequences; None where
            there are none.
        heads: What each head writes, through the norm behind attention if there is one.
        mlps: What each MLP writes; None without.
    """

    embed: Float[Array, "*batch pos d_model"]
    pos_embed: Float[Array, "*ones pos d_model"] | None
    heads: Float[Array, "layer *batch pos head d_model"]
    mlps: Float[Array, "layer *batch pos d_model"] | None


def written(
    model: Transformer,
    tokens: Integer[Array, "*batch pos"],
    *,
    edits: Sequence[AbstractIntervention] = (),
) -> Written:
    """What each part of the model writes when it reads `tokens`: one forward pass.

    Of a corrupted prompt these are what edges are patched with; their means over a
    batch are what edges are mean-ablated with, zeros what they are zero-ablated with.

    Args:
        model: The model.
        tokens: Ids, with any leading batch axes.
        edits: Interventions to make on the way, such as heads that are knocked out.

    Returns:
        One vector for each position and each source of `jaxcirc.models.graph`.

    Raises:
        ValueError: tokens are no array of ids in [0, d_vocab).

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig, written
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> written(model, jnp.zeros((2, 3), int)).heads.shape
        (1, 2, 3, 2, 4)
    """
    post = model.blocks.ln1_post
    sites = ["embed", "attn.result"]
    sites += ["pos_embed"] if model.W_pos is not None else []
    sites += ["mlp.out"] if model.blocks.mlp is not None else []
    sites += ["ln1_post.scale"] if post is not None else []
    _, acts = capture(model, tokens, sites, edits=edits)
    heads = acts["attn.result"]
    if post is not None:
        # Behind the norm a head has its share: the divisor is that of the heads' sum.
        held = lambda norm, x, scale: norm.held(x, scale[..., None, :])
        heads = jax.vmap(held)(post, heads, acts["ln1_post.scale"])
    return Written(acts["embed"], acts.get("pos_embed"), heads, acts.get("mlp.out"))
