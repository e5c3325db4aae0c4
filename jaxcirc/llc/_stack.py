"""Several checkpoints as one pytree, which is what a sweep takes."""

import warnings
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._core import equal_weights, named_leaves, weights_digest


def stack_models(models: Sequence[PyTree]) -> PyTree:
    """Models of equal shape as one pytree, with a leading checkpoint axis.

    It is what `sweep` takes as `params` together with `steps`. Whatever is no array,
    such as a config or an activation function, is taken from the first model and not
    compared. The stack holds a copy of every model, so memory grows with their number.

    Args:
        models: Pytrees in the order of the steps that will name them; at least one.

    Returns:
        A pytree like each model, with arrays of shape `[checkpoint, ...]`.

    Raises:
        ValueError: there is no model, or they differ in structure, shape or type; the
            message names the first array that does.

    Example:
        >>> import jax.numpy as jnp
        >>> stack_models([{"w": jnp.zeros(2)}, {"w": jnp.ones(2)}])["w"].tolist()
        [[0.0, 0.0], [1.0, 1.0]]
    """
    if not models:
        raise ValueError("llc: there is no model to stack.")
    first = named_leaves(models[0])
    for i, model in enumerate(models[1:], 1):
        other = named_leaves(model)
        for name in {**first, **other}:
            a, b = first.get(name), other.get(name)
            here = "nothing" if b is None else f"{b.dtype}{list(b.shape)}"
            there = "nothing" if a is None else f"{a.dtype}{list(a.shape)}"
            if here != there:
                raise ValueError(
                    f"llc: checkpoints must have equal shapes; {name!r} is {here} in "
                    f"model {i} and {there} in model 0. Sweep them one by one."
                )
    _tell_equal(models)
    # Whatever is no array is the same in all, and is taken from the first.
    return jax.tree.map(
        lambda *xs: jnp.stack(xs) if eqx.is_array(xs[0]) else xs[0], *models
    )


def _tell_equal(models: Sequence[PyTree]) -> None:
    """Warn of checkpoints that are one, such as views of a state that lived on."""
    seen: dict[str, int] = {}
    for i, model in enumerate(models):
        first = seen.setdefault(weights_digest(model), i)
        if first != i and equal_weights(model, models[first]):
            warnings.warn(
                f"llc: models {first} and {i} hold equal weights. If they are from a "
                "training run, copies of a live state may have been kept in place of "
                "its values (`jax.tree.map(jnp.array, state)` copies).",
                stacklevel=3,
            )
            return
