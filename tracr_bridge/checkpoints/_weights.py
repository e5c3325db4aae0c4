"""From named tensors to a model's stacked weights, and back, by a family's rules."""

import concurrent.futures
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from jaxcirc._core import named_leaves
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.checkpoints.formats import Tensors, aligned_empty, copy_blocked
from jaxcirc.models import Transformer, TransformerConfig

from ._tensor_names import compiled
from .families import Rule

THREADS = min(4, os.cpu_count() or 1)
# Modules of PyTorch keep these beside their weights.
_NO_WEIGHTS = (r"_extra_state$", r"num_batches_tracked$")


def assemble(
    config: TransformerConfig,
    rules: Sequence[Rule],
    tensors: Tensors,
    *,
    dtype: str | None = "float32",
) -> Transformer:
    """The model that holds these tensors.

    Each is read once and copied to its place, so that no more than the model and its
    largest weight are in memory.

    Args:
        config: The model's config.
        rules: Which tensor holds what.
        tensors: Tensors under the names of the rules, and no others.
        dtype: The type of the weights; None keeps each tensor's own, and the wider one
            where layers differ.

    Raises:
        CheckpointError: a tensor is missing, unknown, or of another shape.
        ValueError: an unknown `dtype`.
    """
    if dtype not in (None, "float32", "bfloat16", "float16"):
        raise ValueError(
            f"`dtype` must be float32, bfloat16, float16 or None (the file's own); got "
            f"{dtype!r}."
        )
    like = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
    shapes = {name: leaf.shape for name, leaf in named_leaves(like).items()}
    used = [rule for rule in rules if set(rule.leaves()) <= set(shapes)]
    _check(config, used, shapes, tensors)
    place = {leaf: rule for rule in used for leaf in rule.leaves()}
    uncovered = sorted(set(shapes) - set(place))
    if uncovered:
        raise CheckpointError(
            f"{tensors.name}: no tensor of this family holds {', '.join(uncovered)}; "
            "the config does not belong to it."
        )
    filled: dict[str, Any] = {}
    for leaf in shapes:
        if leaf not in filled:
            rule = place[leaf]
            filled |= _fill(rule, rule.names(config.n_layers), tensors, shapes, dtype)
    leaves, treedef = jax.tree.flatten(like)
    # Leaves are put back in order, so that one without a name would shift the others.
    assert len(leaves) == len(shapes)
    return jax.tree.unflatten(treedef, [filled.pop(name) for name in shapes])


def disassemble(model: Transformer, rules: Sequence[Rule]) -> dict[str, np.ndarray]:
    """The model's tensors by the names and in the layouts of the rules.

    Raises:
        ValueError: the model has a weight that no rule places.
    """
    weights = {name: np.asarray(leaf) for name, leaf in named_leaves(model).items()}
    shapes = {name: leaf.shape for name, leaf in weights.items()}
    out: dict[str, np.ndarray] = {}
    left = set(weights)
    for rule in rules:
        leaves = rule.leaves()
        if not set(leaves) <= set(weights):
            continue
        left -= set(leaves)
        for layer, name in enumerate(rule.names(model.config.n_layers)):
            parts = [
                weights[leaf][layer] if rule.per_layer else weights[leaf]
                for leaf in leaves
            ]
            out[name] = np.ascontiguousarray(rule.write(parts, shapes))
    if left:
        raise ValueError(f"no tensor of this family holds {', '.join(sorted(left))}.")
    return out


def canonical(
    tensors: Tensors,
    rules: Sequence[Rule],
    n_layers: int,
    *,
    prefix: str = "",
    in_memory: Mapping[str, str] | None = None,
    buffers: Sequence[str] = (),
) -> Tensors:
    """The tensors under the rules' names, without buffers.

    Args:
        tensors: The tensors, without what wrappers put in front (`unwrapped`).
        rules: What they hold.
        n_layers: Layers of the model.
        prefix: What bare base models leave out in front of names.
        in_memory: Names of live modules -> names of files, where the two differ.
        buffers: Patterns of tensors that are no weights.

    Raises:
        CheckpointError: two tensors come to have one name.
    """
    left_out = [compiled(pattern) for pattern in (*buffers, *_NO_WEIGHTS)]
    known = {name for rule in rules for name in rule.names(n_layers)}
    names = {}
    for name in tensors:
        own = (in_memory or {}).get(name, name)
        own = own if own in known or prefix + own not in known else prefix + own
        if own not in known and any(p.search(name) for p in left_out):
            continue
        if own in names:
            raise CheckpointError(f"{tensors.name}: tensor {own!r} is there twice.")
        names[own] = name
    return tensors.renamed(names)


def _check(
    config: TransformerConfig,
    used: Sequence[Rule],
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Tensors,
) -> None:
    """Refuse tensors that are missing, not wanted, unreadable or of another shape.

    Raises:
        CheckpointError: some are; the message names them.
    """
    wanted: dict[str, tuple[int, ...]] = {}
    for rule in used:
        shape = rule.shape(shapes)
        wanted |= dict.fromkeys(rule.names(config.n_layers), shape)
    # All are found before any is read, which may take minutes.
    missing = [name for name in wanted if name not in tensors]
    extra = [name for name in tensors if name not in wanted]
    if missing or extra:
        parts = [f"lacks {_some(missing)}"] if missing else []
        if extra:
            parts.append(f"holds {_some(extra)}, which the config has no use for")
        raise CheckpointError(f"{tensors.name} {' and '.join(parts)}.{_advice(extra)}")
    odd = [f"{n!r} {tensors.faults[n]}" for n in wanted if n in tensors.faults]
    if odd:
        raise CheckpointError(f"{tensors.name}: {'; '.join(odd[:8])}.")
    wrong = [
        f"{name} has shape {list(tensors.shapes[name])} where the config needs "
        f"{list(shape)}"
        for name, shape in wanted.items()
        if tensors.shapes[name] != shape
    ]
    if wrong:
        raise CheckpointError(f"{tensors.name}: {'; '.join(wrong[:8])}.")


def _advice(extra: Sequence[str]) -> str:
    """What to do about tensors that are not wanted."""
    if not extra:
        return ""
    return (
        " What is no weight is left out by `ignore`, what has another name renamed by "
        "`names`."
    )


def _some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(names[:8]) + more


def _widest(tensors: Tensors, names: Sequence[str]) -> Any:
    """The type that holds every layer's numbers."""
    kinds = {tensors.dtypes[name] for name in names}
    with jax.numpy_dtype_promotion("standard"):
        return functools.reduce(jnp.promote_types, kinds)


def _fill(
    rule: Rule,
    names: Sequence[str],
    tensors: Tensors,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: str | None,
) -> dict[str, Any]:
    """The stacked weights that one rule's tensors hold."""
    kind = _widest(tensors, names) if dtype is None else jnp.dtype(dtype)
    homes = [aligned_empty(shapes[leaf], kind) for leaf in rule.leaves()]

    def fill(layer: int, name: str) -> None:
        for home, part in zip(homes, rule.read(tensors[name], shapes), strict=True):
            copy_blocked(home[layer] if rule.per_layer else home, part)

    # Most of the time goes into the pages of new memory, one thread each.
    with concurrent.futures.ThreadPoolExecutor(max_workers=THREADS) as pool:
        list(pool.map(fill, range(len(names)), names))
    # Nobody else has these arrays, so a CPU may take them over without a copy.
    return {
        leaf: jax.device_put(home, may_alias=True)
        for leaf, home in zip(rule.leaves(), homes, strict=True)
    }
