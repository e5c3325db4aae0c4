"""How far single heads and MLPs are from their own expansions."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from .._core import find, stack_trees
from ..models import (
    Replace,
    Transformer,
    TransformerConfig,
    capture,
    head_masks,
    resolved_edits,
)
from ._engines import ENGINES, behind_barrier, check_order
from ._inputs import module_outputs
from ._line import ModelLine, moved
from ._models import direction_between


class ByModule(eqx.Module):
    """Errors of logits when one module is replaced by its expansion.

    Args:
        names: Heads (`L0H1`) and MLPs (`L0MLP`).
        relative_error: Of each module and order, over the change that the module makes
            (order 0 is 1 unless it makes none, which is 0).
        error: ‖exact - expanded‖ of the logits.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    relative_error: Float[Array, "module order"]
    error: Float[Array, "module order"]


def by_module(
    base: Transformer,
    tuned: Transformer,
    tokens: Integer[Array | np.ndarray, "*batch pos"],
    *,
    order: int = 2,
    of: Literal["weights", "inputs"] = "weights",
    engine: str = "scan",
) -> ByModule:
    """The error of the tuned logits when one module is expanded and all others not.

    Of `weights`: everything is as tuned, but a head's or an MLP's weights go from those
    of `base` to the tuned ones, and the logits are expanded in that direction. Of
    `inputs`: the tuned module is replaced by its Taylor polynomial in the stream that
    it reads, around what it reads in `base` on the same tokens; a module that is linear
    in its input is exact at order 1. With shared key heads, a head moves those that it
    reads.

    Args:
        base: The model that is expanded around.
        tuned: The model whose logits are the truth.
        tokens: Ids.
        order: The highest power.
        of: What the expansion is in.
        engine: A row of `ENGINES`, for `weights`.

    Returns:
        Errors of every head and MLP, by order.

    Raises:
        ValueError: the models are not alike, the order or the engine is unknown, or
            `of` is neither of the two.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import taylor
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> base = Transformer(config, key=jr.key(0))
        >>> W_O = base.blocks.attn.W_O.at[0, 1].multiply(3)  # of head 1 alone
        >>> tuned = eqx.tree_at(lambda m: m.blocks.attn.W_O, base, W_O)
        >>> found = taylor.by_module(base, tuned, jnp.array([[0, 1, 2]]), order=1)
        >>> found.names, found.relative_error[:, 0].round(4).tolist()
        (('L0H0', 'L0H1'), [0.0, 1.0])
    """
    who = "taylor.by_module"
    check_order(order, who=who)
    if of not in ("weights", "inputs"):
        raise ValueError(f"{who}: `of` must be 'weights' or 'inputs'; got {of!r}.")
    tokens, _ = resolved_edits(base, tokens, (), who=who)
    start, direction = direction_between(base, tuned, who=who)
    if of == "inputs":
        end = moved(start, direction, 1.0)
        names = _names(base.config)
        errors = _of_inputs(start, end, tokens, order)
    else:
        coefficients = find(ENGINES, engine, kind="engine").coefficients
        # A mask is an array, so one program serves all modules.
        masks = module_masks(start)
        names = tuple(masks)
        stacked = stack_trees(list(masks.values()))
        errors = _of_weights(start, direction, stacked, tokens, order, coefficients)
    first = errors[:, :1]
    return ByModule(names, errors / jnp.where(first > 0, first, 1), errors)


def module_masks(model: Transformer) -> dict[str, Transformer]:
    """A mask for every head and every MLP, layer by layer.

    Args:
        model: Whose weights are masked.
    """
    masks = head_masks(model)
    if model.blocks.mlp is None:
        return masks
    nothing = jax.tree.map(lambda x: x & False, next(iter(masks.values())))

    def mlp(layer):
        def chosen(x):
            shape = (x.shape[0], *(1,) * (x.ndim - 1))
            return jnp.zeros(shape, bool).at[layer].set(True)

        rows = jax.tree.map(chosen, eqx.filter(model.blocks.mlp, eqx.is_inexact_array))
        # What lies outside is one entry; here each layer has one of its own.
        return eqx.tree_at(lambda m: m.blocks.mlp, nothing, rows)

    for layer in range(model.config.n_layers):
        masks[f"L{layer}MLP"] = mlp(layer)
    return {name: _spread(mask, list(masks.values())) for name, mask in masks.items()}


def _spread(mask, masks):
    """The mask in the shapes that all of them have together, to be stacked."""
    shapes = lambda x, *xs: jnp.broadcast_to(
        x, np.broadcast_shapes(x.shape, *(y.shape for y in xs))
    )
    return jax.tree.map(shapes, mask, *masks)


def _names(config: TransformerConfig) -> tuple[str, ...]:
    heads = [f"L{i}H{h}" for i in range(config.n_layers) for h in range(config.n_heads)]
    mlps = [f"L{i}MLP" for i in range(config.n_layers)] if config.sizes.d_mlp else []
    return (*heads, *mlps)


@eqx.filter_jit
def _of_weights(start, direction, masks, tokens, order: int, engine):
    start, direction = behind_barrier((start, direction))
    end = moved(start, direction, 1.0)
    exact = end(tokens)

    def one(mask):
        way = jax.tree.map(
            lambda d, m: jnp.where(jnp.broadcast_to(m, d.shape), d, 0), direction, mask
        )
        # From the module's own old weights to its new ones, within the tuned model.
        line = ModelLine((moved(end, way, -1.0), ()), (way, ()), tokens)
        found = engine(line, order) if order else (line.value(line.start),)
        return _missed(exact, jnp.cumsum(jnp.stack([c for c, _ in found]), axis=0))

    return jax.lax.map(one, masks)


@eqx.filter_jit
def _of_inputs(start, end, tokens, order: int):
    start, end = behind_barrier((start, end))
    c = end.config
    exact, acts = capture(end, tokens, ("attn.z",))
    z, mlp_out = module_outputs(start, end, tokens, order)

    def patched(edit):
        return end(tokens, edits=(edit,))

    def head(place):
        rows = jnp.arange(c.n_layers * c.n_heads) == place
        middle = (1,) * (acts["attn.z"].ndim - 3)
        where = rows.reshape(c.n_layers, *middle, c.n_heads, 1)
        logits = jax.lax.map(lambda v: patched(Replace("attn.z", v, where)), z)
        return _missed(exact, logits)

    errors = jax.lax.map(head, jnp.arange(c.n_layers * c.n_heads))
    if mlp_out is None:
        return errors

    def mlp(layer):
        where = jnp.arange(c.n_layers) == layer
        where = where.reshape(-1, *(1,) * (mlp_out.ndim - 2))
        logits = jax.lax.map(lambda v: patched(Replace("mlp.out", v, where)), mlp_out)
        return _missed(exact, logits)

    return jnp.concatenate([errors, jax.lax.map(mlp, jnp.arange(c.n_layers))])


def _missed(
    exact: Float[Array, "*shape"], series: Float[Array, "order *shape"]
) -> Float[Array, " order"]:
    """Lengths of what each order misses; 0 where that is rounding of the logits."""
    missed = (exact[None] - series).reshape(len(series), -1)
    lengths = jnp.sqrt(jnp.square(missed).sum(axis=1))
    # A module that has not moved would else have relative errors of 1.
    rounding = 32 * jnp.finfo(exact.dtype).eps * jnp.linalg.norm(exact)
    return jnp.where(lengths > rounding, lengths, 0)
