"""The transformer's state, and one update of it."""

import dataclasses
import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jaxtyping import Array, Int, PyTree

from .._core import Objective, fold_name, mean_of, seed_key, select_paths
from ..adapters import lora, merge
from ..models import Transformer, TransformerConfig
from ..tasks import AbstractTask, Batch
from ._config import Training
from ._loop import Loop


class State(NamedTuple):
    """What training needs to go on; every array has a leading `seed` axis.

    Args:
        params: Weights that are trained; None in place of the others. With an adapter
            a pair, of a model of which nothing is trained and the adapter's factors.
        frozen: Weights that are not, and whatever else the model holds.
        optimizer: State of the optax transformation.
        step: Updates made.
        seed: The seed that fresh weights and batches come from.
    """

    params: PyTree
    frozen: PyTree
    optimizer: PyTree
    step: Int[Array, "..."]
    seed: Int[Array, "..."]

    @property
    def model(self) -> Transformer:
        """The model, its trained and frozen weights together."""
        return _whole(self.params, self.frozen)


def _whole(params: PyTree, frozen: PyTree) -> Transformer:
    """The model that trained and frozen arrays make."""
    both = eqx.combine(params, frozen)
    # A pair is a model that stays as it is, and the adapter that is trained.
    return merge(*both) if isinstance(both, tuple) else both


class Lesson(NamedTuple):
    """What every update reads and none changes.

    Args:
        task: Where batches come from.
        objective: What of them is made smaller.
    """

    task: AbstractTask
    objective: Objective


def init_state(
    config: TransformerConfig, training: Training, start: Transformer | None = None
) -> State:
    """Fresh models, one per seed; each is what its seed gives when trained alone.

    With `start`, every seed begins with those weights instead, in float32 (float64
    where JAX is set to it), whatever their own type.

    Args:
        config: The model.
        training: Its seeds, its optimiser, and which weights are frozen.
        start: Weights that every seed starts from.
    """
    first = training.seed
    seeds = jnp.arange(first, first + training.seeds, dtype=jnp.int32)
    return _states(config, _of_programs(training), start, seeds)


def _of_programs(training: Training) -> Training:
    """The same training without what no program of it depends on."""
    return dataclasses.replace(training, seed=0, checkpoints="linear", every=1)


# Of the module, not of a call: runs that differ in their first seed share a program.
@eqx.filter_jit
def _states(
    config: TransformerConfig,
    training: Training,
    start: Transformer | None,
    seeds: Int[Array, " seed"],
) -> State:
    # Paths are looked up in shapes, before memory is taken for any weights.
    like = eqx.filter_eval_shape(lambda: Transformer(config, key=jr.key(0)))
    frozen = select_paths(like, training.freeze, what="training.freeze")
    trained: PyTree = jax.tree.map(lambda f: not f, frozen)
    options = training.lora
    if options is not None:
        # Of the model nothing moves, of the adapter everything.
        trained = (False, True)
    optimizer = training.build_optimizer()

    def init(seed: Array) -> State:
        fresh = Transformer(config, key=fold_name(seed_key(seed), "model"))
        # In the type of fresh weights: half precision would round most updates away.
        model = fresh if start is None else jax.tree.map(_in_type_of, start, fresh)
        if options is not None:
            # A key of its own, so that an adapter changes no other draw.
            own = fold_name(seed_key(seed), "adapter")
            model = (model, lora(model, key=own, **options.to_dict()))
        params, rest = eqx.partition(model, trained)
        return State(params, rest, optimizer.init(params), jnp.zeros_like(seed), seed)

    return jax.vmap(init)(seeds)


def _in_type_of(x: Array, like: Array) -> Array:
    return x.astype(like.dtype)


def make_loop(training: Training) -> Loop:
    """The loop over updates of as many models as there are seeds.

    Its state is a `State`, and what its updates share a `Lesson`. Trainings that differ
    in their first seed or in their checkpoints alone have one loop, and so one compiled
    program.
    """
    return _loop(_of_programs(training))


@functools.lru_cache(maxsize=64)
def _loop(training: Training) -> Loop:
    optimizer = training.build_optimizer()

    def update(state: State, lesson: Lesson) -> tuple[State, Array]:
        batch = _next_batch(lesson.task, training.batch_size, state)

        def loss_of(params):
            return mean_of(lesson.objective, _whole(params, state.frozen), batch)

        loss, gradient = jax.value_and_grad(loss_of)(state.params)
        # optax mixes types, which users may have told JAX to refuse.
        with jax.numpy_dtype_promotion("standard"):
            change, optimizer_state = optimizer.update(
                gradient, state.optimizer, state.params
            )
        params = optax.apply_updates(state.params, change)
        return state._replace(
            params=params, optimizer=optimizer_state, step=state.step + 1
        ), loss

    return Loop(update, training.seeds)


def _next_batch(task: AbstractTask, batch_size: int | None, state: State) -> Batch:
    if batch_size is None:
        whole = task.examples("train")
        assert whole is not None  # `train` has checked it
        return whole
    # From seed and step alone, so that a run which goes on draws the same batches.
    key = jr.fold_in(fold_name(seed_key(state.seed), "batches"), state.step)
    return task.sample(batch_size, split="train", key=key)
