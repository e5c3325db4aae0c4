"""A model whose attention patterns, and norms if wanted, stay as they were."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Integer

from ..models import Replace, Transformer, capture, sites


def freeze(
    model: Transformer,
    tokens: Integer[Array | np.ndarray, "*batch pos"],
    *,
    pattern: bool = True,
    norms: bool = False,
) -> tuple[Replace, ...]:
    """Edits that keep attention patterns, or divisors of norms, at this model's values.

    `model(tokens, edits=freeze(model, tokens))` is the model itself, up to rounding.
    But nothing reaches the logits through queries and keys any more: gradients of W_Q
    and W_K are exactly 0, and without MLPs and norms the logits are linear in the
    embeddings and a polynomial of degree 2 n_layers + 2 in all weights. With another
    model's weights they tell what its other parts do under these patterns. What is
    frozen belongs to these tokens.

    Args:
        model: Whose patterns and divisors are kept.
        tokens: Ids, which the edits are then used with.
        pattern: Whether attention patterns are kept.
        norms: Whether the divisors of all norms of the residual stream are kept, which
            makes those linear too.

    Returns:
        One `Replace` for each kind of site.

    Raises:
        ValueError: nothing is to be frozen, or tokens are no ids.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import taylor
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(d_vocab=5, n_ctx=7, n_layers=1, d_model=4)
        >>> model, tokens = Transformer(config, key=jr.key(0)), jnp.array([0, 1, 2])
        >>> frozen = taylor.freeze(model, tokens, norms=True)
        >>> [edit.site for edit in frozen]
        ['ln1.scale', 'attn.pattern', 'ln_final.scale']
        >>> bool(jnp.allclose(model(tokens, edits=frozen), model(tokens), atol=1e-6))
        True
    """
    if not pattern and not norms:
        raise ValueError("taylor.freeze: `pattern` and `norms` are both False.")
    table = sites(model, np.shape(tokens))
    # `.scale` is the divisor of a norm; with it held, a norm is linear.
    wanted = [
        name
        for name in table
        if (pattern and name == "attn.pattern") or (norms and name.endswith(".scale"))
    ]
    _, kept = capture(model, tokens, wanted)
    return tuple(_kept(name, kept[name], table[name].axes) for name in wanted)


def _kept(site: str, value: Array, axes: tuple[str, ...]) -> Replace:
    """The site replaced everywhere."""
    # One truth for all entries; layers alone are counted and never broadcast.
    n_layers = value.shape[0] if axes[:1] == ("layer",) else 1
    shape = (n_layers, *(1,) * (value.ndim - 1))
    return Replace(site, value, jnp.ones(shape, bool))
