"""Models with parts silenced."""

import equinox as eqx

from ._transformer import Transformer


def without(
    model: Transformer,
    *,
    heads: tuple[tuple[int, int], ...] = (),
    mlps: tuple[int, ...] = (),
) -> Transformer:
    """The model with some heads and MLPs silenced: their outputs are zero.

    It is the same function as scaling them by 0 (`Scale`), as weights, so that a stack
    of such models can be measured in one sweep. A head loses W_O alone, since the
    output bias belongs to no head; an MLP loses W_out and its bias.

    Args:
        model: What to ablate; it is left as it is.
        heads: (layer, head) pairs, counted from 0.
        mlps: Layers whose MLP is silenced.

    Returns:
        A model of the same shape.

    Raises:
        ValueError: there is no such layer or head.

    Example:
        >>> import jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> W_O = without(model, heads=((0, 1),)).blocks.attn.W_O
        >>> W_O.any(axis=(2, 3)).tolist()
        [[True, False]]
    """
    c = model.config
    bad = [p for p in heads if not (0 <= p[0] < c.n_layers and 0 <= p[1] < c.n_heads)]
    bad += [layer for layer in mlps if not (0 <= layer < c.n_layers and c.sizes.d_mlp)]
    if bad:
        raise ValueError(
            f"without: the model has {c.n_layers} layers of {c.n_heads} heads; "
            f"there is no {bad}."
        )
    # Outputs are silenced, not inputs: zero queries would attend to everything alike.
    W_O = model.blocks.attn.W_O
    for layer, head in heads:
        W_O = W_O.at[layer, head].set(0)
    model = eqx.tree_at(lambda m: m.blocks.attn.W_O, model, W_O)
    for layer in mlps:
        mlp = model.blocks.mlp
        assert mlp is not None
        model = eqx.tree_at(
            lambda m: m.blocks.mlp.W_out, model, mlp.W_out.at[layer].set(0)
        )
        if mlp.b_out is not None:
            model = eqx.tree_at(
                lambda m: m.blocks.mlp.b_out, model, mlp.b_out.at[layer].set(0)
            )
    return model
