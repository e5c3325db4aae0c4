"""Groups of weights, and sums over them of what there is for each weight."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from .._core import named_leaves

# `tensors`, `layers`, `heads`, or masks by name.
Groups: TypeAlias = str | Mapping[str, PyTree]
# A tree of numbers in the structure of the weights -> a number for each group.
Sums: TypeAlias = Callable[[PyTree], dict[str, Float[Array, ""]]]

_HEADS = {"W_Q": 1, "W_K": 1, "W_V": 1, "W_O": 0, "b_Q": 0, "b_K": 0, "b_V": 0}


def sums_by(groups: Groups, params: PyTree, *, who: str) -> Sums:
    """How numbers for each weight add up to numbers for each group.

    Args:
        groups: `tensors`, `layers`, `heads`, or masks by name.
        params: The weights.
        who: Who complains.

    Raises:
        ValueError: the name is unknown, masks are no weights' masks, or overlap.
    """
    known = {"tensors": by_tensor, "layers": by_layer, "heads": by_head}
    if isinstance(groups, str):
        if groups not in known:
            raise ValueError(
                f"{who}: `groups` must be one of {', '.join(known)}, or masks by name; "
                f"got {groups!r}."
            )
        return known[groups]
    _check_masks(groups, params, who=who)
    return lambda tree: by_mask(tree, groups)


def group_names(groups: Groups, params: PyTree) -> tuple[str, ...]:
    """What the groups of an attribution are called, without computing one.

    Args:
        groups: `tensors`, `layers`, `heads`, or masks by name.
        params: The weights, or their shapes.

    Returns:
        The names, in the order of `attribute`'s shares.

    Raises:
        ValueError: the name is unknown, or masks are no weights' masks.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import taylor
        >>> taylor.group_names("tensors", {"a": jnp.ones(2), "b": jnp.ones(3)})
        ('a', 'b')
    """
    sums = sums_by(groups, params, who="taylor.group_names")
    return tuple(jax.eval_shape(sums, params))


def by_tensor(tree: PyTree) -> dict[str, Array]:
    """One group for each array, all of its layers together."""
    return {name: leaf.sum() for name, leaf in named_leaves(tree).items()}


def by_layer(tree: PyTree) -> dict[str, Array]:
    """One group for each layer; arrays outside the blocks are groups of their own."""
    found: dict[str, Array] = {}
    for name, leaf in named_leaves(tree).items():
        for group, share in _layers(name, leaf):
            found[group] = found.get(group, jnp.zeros((), leaf.dtype)) + share.sum()
    return found


def by_head(tree: PyTree) -> dict[str, Array]:
    """One group for each head, MLP and norm of a layer, and each array outside.

    `L0H1` has the head's slices of W_Q, W_O and b_Q, and of W_K, W_V and their biases
    if each head has its own; where heads share them, `L0KV0` is a group of its own.
    The output bias is with the norms, in `L0`.
    """
    leaves = named_leaves(tree)
    queries = [x.shape[-2] for n, x in leaves.items() if n.endswith("attn.W_Q")]
    found: dict[str, Array] = {}
    for name, leaf in leaves.items():
        for group, share in _layers(name, leaf):
            for part, number in _parts(name, group, share, queries):
                found[part] = found.get(part, jnp.zeros((), leaf.dtype)) + number
    return found


def by_mask(tree: PyTree, masks: Mapping[str, PyTree]) -> dict[str, Array]:
    """One group for each mask, and `rest` for what no mask has.

    Args:
        tree: Numbers for each weight.
        masks: Booleans that broadcast to the weights, by name.
    """
    leaves = named_leaves(tree)
    whole = sum(leaf.sum() for leaf in leaves.values())
    found = {}
    for group, mask in masks.items():
        kept = named_leaves(mask)
        shares = [
            jnp.where(jnp.broadcast_to(kept[n], x.shape), x, 0).sum()
            for n, x in leaves.items()
        ]
        found[group] = sum(shares)
    # By subtraction, which needs no mask of what is left.
    found["rest"] = whole - sum(found.values())
    return found


def _layers(name: str, leaf: Array) -> list[tuple[str, Array]]:
    """The array's groups by layer."""
    if not name.startswith("blocks."):
        return [(name, leaf)]
    return [(f"L{layer}", leaf[layer]) for layer in range(len(leaf))]


def _parts(name: str, group: str, share: Array, queries: list[int]):
    """The groups by head of one layer's array, with their sums."""
    short = name.split(".")[-1]
    if name.startswith("blocks.mlp."):
        return [(f"{group}MLP", share.sum())]
    if not name.startswith("blocks.attn.") or short not in _HEADS:
        return [(group, share.sum())]
    axis = _HEADS[short]
    heads = jnp.moveaxis(share, axis, 0)
    # With grouped queries, keys and values have fewer heads than queries.
    kind = "H" if len(heads) == queries[0] else "KV"
    return [(f"{group}{kind}{i}", head.sum()) for i, head in enumerate(heads)]


def _check_masks(groups: Mapping[str, PyTree], params: PyTree, *, who: str) -> None:
    """Refuse masks that are none of these weights, or share a weight."""
    leaves = named_leaves(params)
    taken = {name: np.zeros(leaf.shape, int) for name, leaf in leaves.items()}
    for group, mask in groups.items():
        kept = named_leaves(mask)
        for name, leaf in leaves.items():
            if name not in kept:
                raise ValueError(
                    f"{who}: the mask {group!r} has nothing for {name!r}. A mask has "
                    "the structure of the weights, as those of `models.head_masks`."
                )
            # Its values are not known yet, so nothing can be said.
            if isinstance(kept[name], Tracer):
                continue
            taken[name] += np.broadcast_to(np.asarray(kept[name]), leaf.shape)
    shared = [name for name, count in taken.items() if (count > 1).any()]
    if shared:
        raise ValueError(
            f"{who}: groups overlap in {shared[0]!r}, so their parts would not add up. "
            "Give every weight to one group at most; with grouped-query attention, "
            "groups='heads' has a group for each key head."
        )


def stacked(found: list[dict[str, Array]]) -> tuple[tuple[str, ...], Array]:
    """Names of the groups, and their numbers [entry, group].

    Args:
        found: The numbers of each entry, all with the same groups.
    """
    names = tuple(found[0])
    rows = [jnp.stack([one[name] for name in names]) for one in found]
    return names, jax.numpy.stack(rows)
