"""Two models as the ends of a line, refused unless there is one."""

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import PyTree

from .._core import named_leaves, select_paths, widened

Params = TypeVar("Params")


def direction_between(
    base: Params, tuned: Params, *, over: tuple[str, ...] = ("*",), who: str
) -> tuple[Params, Params]:
    """The start of a line and its direction, `tuned - base`, in float32 or wider.

    Args:
        base: Weights at t = 0.
        tuned: Weights at t = 1, of the same structure.
        over: Patterns of the weights that move, such as `blocks.attn.*`; all others
            stay those of `base`, and their direction is None.
        who: Who complains.

    Raises:
        ValueError: the two differ in structure, shapes or types, a weight is not
            finite, or a pattern names nothing.
    """
    check_alike(base, tuned, who=who)
    for name, params in (("base", base), ("tuned", tuned)):
        check_finite(params, name, who=who)
    # Half precision has no room for the differences that higher orders are made of.
    base, tuned = widened(base), widened(tuned)
    chosen = select_paths(base, over, what=f"{who}: `over`")
    # Whole numbers and keys have no direction.
    moves = jax.tree.map(lambda x, c: c and eqx.is_inexact_array(x), base, chosen)
    ends = (eqx.filter(params, moves) for params in (tuned, base))
    return base, jax.tree.map(jnp.subtract, *ends)


def check_alike(base: PyTree, tuned: PyTree, *, who: str) -> None:
    """Refuse weights between which there is no line, and name the first difference.

    Args:
        base: Weights at t = 0.
        tuned: Weights at t = 1.
        who: Who complains.

    Raises:
        ValueError: the two differ in structure, shapes or types.
    """
    # First the configs, whose difference explains all differences of arrays.
    configs = getattr(base, "config", None), getattr(tuned, "config", None)
    if configs[0] != configs[1]:
        raise ValueError(
            f"{who}: `base` and `tuned` have different configs, {configs[0]} and "
            f"{configs[1]}. A line between them needs two models of one shape."
        )
    one, two = named_leaves(base), named_leaves(tuned)
    for name in (*one, *two):
        got = [
            f"{x[name].dtype}{list(x[name].shape)}" if name in x else "nothing"
            for x in (one, two)
        ]
        if got[0] != got[1]:
            raise ValueError(
                f"{who}: `{name or 'the array'}` is {got[0]} in `base` and {got[1]} in "
                "`tuned`. Give two checkpoints of one model, in one type."
            )
    if jax.tree.structure(base) != jax.tree.structure(tuned):
        raise ValueError(
            f"{who}: `base` and `tuned` have different structures, "
            f"{type(base).__name__} and {type(tuned).__name__}. Give two checkpoints "
            "of one model."
        )


def check_finite(params: PyTree, name: str, *, who: str) -> None:
    """Refuse weights that are not finite, where their values are known.

    Args:
        params: The weights.
        name: What they are called.
        who: Who complains.

    Raises:
        ValueError: a weight is NaN or infinite.
    """
    leaves = named_leaves(eqx.filter(params, eqx.is_inexact_array))
    if any(isinstance(leaf, Tracer) for leaf in leaves.values()):
        return
    # Also inside somebody's `jit`, whose constants have values.
    with jax.ensure_compile_time_eval():
        fine = np.asarray(jnp.stack([jnp.isfinite(x).all() for x in leaves.values()]))
    if not fine.all():
        where = list(leaves)[int(np.argmin(fine))]
        raise ValueError(
            f"{who}: `{name}` holds numbers that are not finite, first in {where!r}. "
            "Take a checkpoint from before training diverged."
        )
