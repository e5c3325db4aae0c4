"""Compiled models made trainable: anew, disturbed, or with room to spare."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Key

from jaxcirc.models import Transformer


def reinitialised(model: Transformer, *, key: Key[Array, ""]) -> Transformer:
    """The same architecture with fresh random weights."""
    return Transformer(model.config, key=key)


def disturbed(model: Transformer, scale: float, *, key: Key[Array, ""]) -> Transformer:
    """The same weights plus independent normal noise.

    Args:
        model: The weights.
        scale: Standard deviation of the noise, in the units of the weights.
        key: Of the noise.
    """
    leaves, treedef = jax.tree.flatten(model)
    keys = jr.split(key, len(leaves))
    noisy = [
        x + scale * jr.normal(k, x.shape, x.dtype)
        for x, k in zip(leaves, keys, strict=True)
    ]
    return jax.tree.unflatten(treedef, noisy)


def extended(
    model: Transformer,
    *,
    heads: int = 0,
    d_mlp: int = 0,
    d_model: int = 0,
    key: Key[Array, ""],
) -> Transformer:
    """A larger model that computes the same function.

    What is new reads at random and writes nothing: the outputs of new heads and hidden
    units are zero, and so is everything that is written to new directions. Training can
    put them to use.

    Args:
        model: What to extend; without norms, which new directions would change.
        heads: Attention heads to add to every layer.
        d_mlp: Hidden units to add to every MLP.
        d_model: Directions to add to the residual stream.
        key: Of the random weights.

    Raises:
        ValueError: a negative number, norms, or grouped-query attention.
    """
    c = model.config
    if min(heads, d_mlp, d_model) < 0:
        raise ValueError(
            f"extended: numbers are of what is added; got heads={heads}, "
            f"d_mlp={d_mlp}, d_model={d_model}."
        )
    if c.norm != "none" or c.n_kv_heads != c.n_heads or (d_mlp and not c.d_mlp):
        raise ValueError(
            "extended: takes models without norms and without shared key heads, and "
            "with MLPs to add units to, as compiled programs are."
        )
    larger = Transformer(
        dataclasses.replace(
            c,
            n_heads=c.n_heads + heads,
            n_kv_heads=c.n_heads + heads,
            d_mlp=c.d_mlp + d_mlp,
            d_model=c.d_model + d_model,
        ),
        key=key,
    )
    writers = ("W_E", "W_pos", "W_O", "W_out")

    def leaf(path, new, old):
        name = path[-1].name
        inside = tuple(slice(0, n) for n in old.shape)
        # What writes is zero where it is new; what reads keeps its random numbers, but
        # old readers must not see new directions differently: those hold nothing.
        base = jnp.zeros_like(new) if name in writers or name.startswith("b_") else new
        return base.at[inside].set(old)

    return jax.tree_util.tree_map_with_path(leaf, larger, _model_like(model, larger))


def _model_like(model: Transformer, other: Transformer) -> Transformer:
    """The weights of `model` in the tree structure of `other`."""
    return jax.tree.unflatten(jax.tree.structure(other), jax.tree.leaves(model))


def without(
    model: Transformer,
    *,
    heads: tuple[tuple[int, int], ...] = (),
    mlps: tuple[int, ...] = (),
) -> Transformer:
    """The model with some heads and MLPs silenced: their outputs are zero.

    The same function as scaling them by 0 (`jaxcirc.models.Scale`), as weights, so that
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
    bad += [layer for layer in mlps if not (0 <= layer < c.n_layers and c.d_mlp)]
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
