"""The compiled part of training: many updates of many models in one call."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int, PyTree

from .._core import fold_name, seed_key, select_paths
from ..models import Transformer, TransformerConfig
from ..tasks import AbstractTask, Batch
from ._config import Training
from ._objective import mean_loss

# Losses of one call; also the most updates between two looks at the result.
CALL_STEPS = 1024


class State(NamedTuple):
    """What training needs to go on; every array has a leading `seed` axis."""

    params: PyTree
    frozen: PyTree
    optimizer: PyTree
    step: Int[Array, "..."]
    seed: Int[Array, "..."]

    @property
    def model(self) -> Transformer:
        """The model, its trained and frozen weights together."""
        return eqx.combine(self.params, self.frozen)


Advance = Callable[
    [AbstractTask, State, Array], tuple[State, Float[Array, "seed step"]]
]


def init_state(
    config: TransformerConfig, training: Training, start: Transformer | None = None
) -> State:
    """Fresh models, one per seed; each is what its seed gives when trained alone.

    With `start`, every seed begins with those weights instead, in float32 (float64
    where JAX is set to it), whatever their own type.
    """
    like = eqx.filter_eval_shape(lambda: Transformer(config, key=jr.key(0)))
    frozen = select_paths(like, training.freeze, what="training.freeze")
    trained = jax.tree.map(lambda f: not f, frozen)
    optimizer = training.build_optimizer()

    @jax.jit
    @jax.vmap
    def init(seed):
        fresh = Transformer(config, key=fold_name(seed_key(seed), "model"))
        # In the type of fresh weights: half precision would round most updates away.
        model = fresh if start is None else jax.tree.map(_in_type_of, start, fresh)
        params, rest = eqx.partition(model, trained)
        return State(params, rest, optimizer.init(params), jnp.zeros_like(seed), seed)

    first = training.seed
    return init(jnp.arange(first, first + training.seeds, dtype=jnp.int32))


def _in_type_of(x: Array, like: Array) -> Array:
    return x.astype(like.dtype)


def make_advance(training: Training) -> Advance:
    """(task, state, n) -> state after `n` updates, and the loss before each.

    `n` is an array, at most `CALL_STEPS`, so one compilation serves calls of any
    length. A model whose loss is not finite stops there; the losses after it stay 0.
    The state is donated.

    Seeds are independent, so the program is split over all devices that divide them
    evenly. On a CPU the seeds of one device run one after the other, which keeps each
    model's weights in cache; an accelerator has room to run them side by side.
    """
    optimizer = training.build_optimizer()

    def update(task: AbstractTask, state: State) -> tuple[State, Array]:
        batch = _next_batch(task, training.batch_size, state)

        def loss_of(params):
            return mean_loss(eqx.combine(params, state.frozen), batch)

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

    def one_seed(task: AbstractTask, state: State, n: Array):
        def unfinished(carry):
            i, _, _, finite = carry
            return (i < n) & finite

        def step(carry):
            i, state, losses, _ = carry
            state, loss = update(task, state)
            return i + 1, state, losses.at[i].set(loss), jnp.isfinite(loss)

        # Not NaN, which `jax_debug_nans` would take for a fault of the model.
        losses = jnp.zeros(CALL_STEPS)
        start = (jnp.zeros_like(n), state, losses, jnp.array(True))
        _, state, losses, _ = jax.lax.while_loop(unfinished, step, start)
        return state, losses

    def all_seeds(task: AbstractTask, state: State, n: Array):
        if jax.default_backend() == "cpu":
            return jax.lax.map(lambda s: one_seed(task, s, n), state)
        return jax.vmap(lambda s: one_seed(task, s, n))(state)

    n_devices = jax.device_count()
    if n_devices > 1 and training.seeds % n_devices == 0:
        mesh = Mesh(np.array(jax.devices()), ("seed",))
        along, everywhere = PartitionSpec("seed"), PartitionSpec()
        all_seeds = jax.shard_map(
            all_seeds,
            mesh=mesh,
            in_specs=(everywhere, along, everywhere),
            out_specs=(along, along),
            check_vma=False,
        )
    return jax.jit(all_seeds, donate_argnums=1)


def _next_batch(task: AbstractTask, batch_size: int | None, state: State) -> Batch:
    if batch_size is None:
        whole = task.examples("train")
        assert whole is not None  # `train` has checked it
        return whole
    key = jr.fold_in(fold_name(seed_key(state.seed), "batches"), state.step)
    return task.sample(batch_size, split="train", key=key)
