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

    The same function as scaling them by 0 (`Scale`), as weights, so that
    a stack of such models can be measured in one sweep.

    Args:
        model: What to ablate.
        heads: (layer, head) pairs.
        mlps: Layers.

    Raises:
        ValueError: there is no such layer or head.
    """
    c = model.config
    bad = [p for p in heads if not (0 <= p[0] < c.n_layers and 0 <= p[1] < c.n_heads)]
    bad += [layer for layer in mlps if not (0 <= layer < c.n_layers and c.sizes.d_mlp)]
    if bad:
        raise ValueError(
            f"without: the model has {c.n_layers} layers of {c.n_heads} heads; "
            f"there is no {bad}."
        )
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
