"""Pytrees as named leaves, stacks of trees, and their size."""

import fnmatch
from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jaxtyping import Array, PyTree

from ._names import unknown

Tree = TypeVar("Tree")


def _path_name(path: tuple) -> str:
    """A path to a leaf in words, with dots between."""
    parts = []
    for entry in path:
        # JAX has a class of its own for attributes, keys and places of a path.
        for attribute in ("name", "key", "idx"):
            if hasattr(entry, attribute):
                parts.append(str(getattr(entry, attribute)))
                break
    return ".".join(parts)


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """Every array leaf of a tree by its dotted path, such as `blocks.attn.W_Q`.

    Arrays and `jax.ShapeDtypeStruct`s count; other leaves are left out.
    """
    leaves, _ = jtu.tree_flatten_with_path(tree)
    return {
        _path_name(path): leaf
        for path, leaf in leaves
        if eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)
    }


def select_paths(tree: Tree, patterns: Sequence[str], *, what: str) -> Tree:
    """A tree of booleans: True at the array leaves whose path matches a pattern.

    Args:
        tree: Any tree.
        patterns: Shell-style patterns (`blocks.attn.*`); one also matches everything
            below the path that it names (`blocks.attn`).
        what: The option that holds the patterns, for messages.

    Raises:
        ValueError: a pattern matches no leaf, which is nearly always a typing error.
    """
    names = list(named_leaves(tree))

    def hit(name: str, pattern: str) -> bool:
        # With `fnmatch` alone, case would count on some systems and not on others.
        return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(
            name, f"{pattern}.*"
        )

    for pattern in patterns:
        if not any(hit(name, pattern) for name in names):
            raise ValueError(f"{what}: {unknown('parameter path', pattern, names)}")
    return jtu.tree_map_with_path(
        lambda path, _: any(hit(_path_name(path), p) for p in patterns), tree
    )


def stack_trees(trees: Sequence[Tree]) -> Tree:
    """Trees of equal structure as one tree whose arrays have a new leading axis."""
    structure = jtu.tree_structure(trees[0])
    rows = [structure.flatten_up_to(tree) for tree in trees]
    return structure.unflatten(_stacked(rows))


@jax.jit
def _stacked(rows: list[list[Any]]) -> list[Array]:
    """Stacks of the places of rows; eagerly each shape would take a program."""
    return [jnp.stack(xs) for xs in zip(*rows, strict=True)]


def tree_bytes(tree: PyTree) -> int:
    """Bytes of all array leaves of a tree, or of what its shapes stand for."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in named_leaves(tree).values())
