"""Training of dictionaries inside of a compiled program of somebody else's."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from .._core import fold_name
from ..models import Transformer
from ._architecture import AbstractArchitecture
from ._dictionary import Dictionary
from ._member import Record
from ._prepare import prepared
from ._program import Plan, advance, begin, finish
from ._stack import stack_configs
from ._state import State
from ._training import Training


def train_in_program(
    config: AbstractArchitecture,
    model: Transformer,
    site: tuple[str, ...],
    data: Any,
    training: Training,
    *,
    start: Dictionary | None = None,
    key: Key[Array, ""],
) -> tuple[Dictionary, Record]:
    """Train dictionaries as `train` does, as a part of a program that is compiled.

    It is the same program without a host beside it: nothing is saved on the way, and
    what is not finite shows in the records, where `train` would stop. It can be mapped
    over models and follow a run from checkpoint to checkpoint.

    Args:
        config: The architecture.
        model: Whose activations.
        site: Names of single places, such as `blocks.0.hook_resid_post`.
        data: A task; with another source the whole training has to find enough rows.
        training: How they are trained.
        start: Dictionaries with axes place and seed to begin with; fresh ones if None.
        key: Random key of directions, data and their order.

    Returns:
        Dictionaries with axes place and seed, and records [place, seed, step].

    Raises:
        ValueError: sizes or sites do not fit, or memory cannot hold the training.
    """
    plan, lesson, *_ = prepared(config, model, site, data, training, None, None, key)
    flat = None if start is None else jax.tree.map(lambda x: _flat(plan, x), start)
    state = begin(plan, lesson, flat, fold_name(key, "dictionary"))
    rounds = -(-training.steps // training.served_batches)

    def one(state, _):
        state, seen = advance(plan, lesson, state)
        return state, seen.records

    state, records = jax.lax.scan(one, state, None, length=rounds)
    # The last round may serve fewer steps than it has room for.
    joined = lambda x: jnp.moveaxis(x, 0, 1).reshape(plan.members, -1)
    records = jax.tree.map(lambda x: joined(x)[:, : training.steps], records)
    made = finish(plan, lesson, state)
    return jax.tree.map(lambda x: _unflat(plan, x), (made, records))


def fresh_in_program(
    config: AbstractArchitecture,
    model: Transformer,
    site: tuple[str, ...],
    data: Any,
    training: Training,
    *,
    key: Key[Array, ""],
) -> Dictionary:
    """The dictionaries that `train_in_program` begins with, in its own axes.

    They have the mean activation as `b_dec` and take raw activations, so that a first
    training can start from them as later ones start from what was trained.

    Args:
        config: The architecture.
        model: Whose activations.
        site: Names of single places.
        data: A task.
        training: How they will be trained.
        key: Random key of directions and data.

    Raises:
        ValueError: sizes or sites do not fit.
    """
    plan, lesson, *_ = prepared(config, model, site, data, training, None, None, key)
    state = begin(plan, lesson, None, fold_name(key, "dictionary"))
    made = finish(plan, lesson, state)
    return jax.tree.map(lambda x: _unflat(plan, x), made)


def trained_shapes(
    config: AbstractArchitecture, places: int, training: Training
) -> Dictionary:
    """Shapes of what `train_in_program` returns, without a model.

    Args:
        config: The architecture.
        places: How many places are read.
        training: How many seeds there are.
    """
    lead = (places, training.seeds)

    def made() -> Dictionary:
        arrays = jax.tree.map(jnp.asarray, _bounded(config))
        one = arrays.finished(arrays.init(jax.random.key(0)), State.new(config.d_sae))
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (*lead, *x.shape)), one)

    return eqx.filter_eval_shape(made)


def _bounded(config: AbstractArchitecture) -> AbstractArchitecture:
    """The config with k as an array, as training has it."""
    stacked = stack_configs([config])
    return jax.tree.map(lambda x: x[0], stacked)


def _flat(plan: Plan, x: Array) -> Array:
    return x.reshape(plan.members, *x.shape[2:])


def _unflat(plan: Plan, x: Array) -> Array:
    seeds = plan.training.seeds
    return x.reshape(plan.members // seeds, seeds, *x.shape[1:])
