"""The attention pattern that a layer makes of given queries and keys."""

import equinox as eqx
import jax
from jaxtyping import Array, Float, Int

from ._constants import layer_constants
from ._transformer import Transformer


def attention_pattern(
    model: Transformer,
    layer: int | Int[Array, ""],
    q: Float[Array, "*batch pos head d_head"],
    k: Float[Array, "*batch pos kv_head d_head"],
) -> Float[Array, "*batch head query_pos key_pos"]:
    """What each query of a layer attends to: the softmax over the keys it may see.

    With everything that the layer does between projection and softmax: norms of
    queries and keys, rotary angles, scale, soft cap, window and causal mask. Of the
    sites `attn.q` and `attn.k` of a run it is that run's `attn.pattern`; of others it
    tells what attention would do if one of the two were different.

    Args:
        model: The model.
        layer: Which layer; it may be traced.
        q: Queries behind their projection, as site `attn.q` has them.
        k: Keys behind theirs, as site `attn.k` has them.

    Returns:
        Weights in [0, 1] that add up to 1 over `key_pos`.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, n_heads=1)
        >>> model = Transformer(config, key=jr.key(0))
        >>> nothing = jnp.zeros((3, 1, config.sizes.d_head))
        >>> attention_pattern(model, 0, nothing, nothing)[0, 1].tolist()
        [0.5, 0.5, 0.0]
    """
    shared, varying = layer_constants(model.config, q.shape[-3])
    here = lambda x: x[layer] if eqx.is_array(x) else x
    attn, own = jax.tree.map(here, (model.blocks.attn, varying))
    return attn.attended(q, k, eqx.combine(own, shared))
