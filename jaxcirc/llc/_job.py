"""What a sweep will do, checked as a whole before any of it runs."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Key, PyTree

from .._core import Objective, count, named_leaves, number_dtype, tree_bytes, unknown
from ._chain import Observables, Schedule
from ._preconditioner import AbstractPreconditioner
from ._problem import Problem, make_problem
from ._program import Cells
from ._sampler import AbstractSampler

Baseline = str | float


class Job(NamedTuple):
    """A sweep that is ready to run.

    Args:
        problem: Loss and data.
        sampler: How to sample, with a number for `n_beta`.
        models: Every array with a leading `checkpoint` axis.
        masks: Every array with a leading `mask` axis; None to sample everything.
        dimensions: Sampled coordinates under each mask.
        observables: Functions of a model.
        schedule: How long a chain runs.
        axes: Labels of checkpoint, numbers of the sampler, mask, seed and chain.
        noise: What the keys of each checkpoint are folded from.
    """

    problem: Problem
    sampler: AbstractSampler
    models: PyTree
    masks: PyTree | None
    dimensions: tuple[int, ...]
    observables: Observables
    schedule: Schedule
    axes: dict[str, list[Any]]
    noise: list[int]

    @property
    def lengths(self) -> dict[str, int]:
        """Length of every axis."""
        return {name: len(labels) for name, labels in self.axes.items()}

    @property
    def model(self) -> PyTree:
        """The first checkpoint, without the checkpoint axis."""
        return _first(self.models)

    @property
    def dtype(self) -> jnp.dtype:
        """The type of step sizes, losses and norms."""
        return number_dtype(self.model)

    @property
    def chain_bytes(self) -> int:
        """Memory of one running chain: weights, gradient, noise, and activations.

        The activations are what the gradient of a step keeps from the forward pass,
        from shapes alone; nothing is compiled.
        """
        params, rest = eqx.partition(self.model, eqx.is_inexact_array)

        def kept(params: PyTree, rest: PyTree, key: Array) -> PyTree:
            def loss(p: PyTree) -> Array:
                examples = self.problem.draw(key)[0]
                return self.problem.losses(eqx.combine(p, rest), examples).mean()

            return jax.tree.leaves(jax.vjp(loss, params)[1])

        key = jax.eval_shape(lambda: jr.key(0))
        residuals = eqx.filter_eval_shape(kept, params, rest, key)
        return 3 * tree_bytes(params) + tree_bytes(residuals)

    def fixed_bytes(self, devices: int) -> int:
        """Memory that a device holds whatever runs: models, data and traces."""
        seen = eqx.filter_eval_shape(
            lambda m: {name: of(m) for name, of in self.observables.items()}, self.model
        )
        # The ten numbers of a row of `Trace`.
        numbers = 10 * self.dtype.itemsize
        per_block = numbers + tree_bytes(seen)
        chains = math.prod(self.lengths.values()) / devices
        traces = chains * len(self.schedule.lengths) * per_block
        # A preconditioner may hold as much as several models, and every w* has its
        # gradient beside it.
        held = tree_bytes(eqx.filter(self.sampler, eqx.is_array))
        models = 2 * tree_bytes(self.models)
        return models + tree_bytes(self.problem.data) + held + int(traces)

    def cells(self, key: Key[Array, ""]) -> Cells:
        """Every chain of the product, in order of the axes.

        A key is folded from the checkpoint's noise, which is its step unless given
        otherwise, seed and chain: never from a place in a list.
        """
        shape = tuple(self.lengths.values())
        at = dict(
            zip(self.axes, np.indices(shape).reshape(len(shape), -1), strict=True)
        )
        label = {name: np.asarray(self.axes[name])[at[name]] for name in self.axes}
        numbers = {
            name: jnp.asarray(
                label.get(name, np.full(at["chain"].shape, value)), self.dtype
            )
            for name, value in self.sampler.numbers().items()
        }

        def fold(step: Array, seed: Array, chain: Array) -> Array:
            return jr.fold_in(jr.fold_in(jr.fold_in(key, step), seed), chain)

        noise = np.asarray(self.noise)[at["checkpoint"]]
        names = (noise, label["seed"], label["chain"])
        keys = jax.vmap(fold)(*(jnp.asarray(x, jnp.uint32) for x in names))
        return Cells(
            checkpoint=jnp.asarray(at["checkpoint"], jnp.int32),
            mask=jnp.asarray(at["mask"], jnp.int32),
            numbers=numbers,
            key=keys,
        )


def make_job(
    loss_fn: Objective,
    params: PyTree,
    data: PyTree,
    sampler: AbstractSampler,
    *,
    steps: Sequence[int] | None,
    grid: Mapping[str, Sequence[float]] | None,
    masks: Mapping[str, PyTree] | None,
    seeds: Sequence[int] | None,
    num_chains: int,
    schedule: Schedule,
    batch_size: int | None,
    observables: Mapping[str, Any] | None,
    noise: Sequence[int] | None = None,
) -> Job:
    """Everything that a sweep needs, checked before any of it runs.

    `sweep` and `calibrate` begin with it; by itself it answers what a sweep would do,
    such as its chains (`lengths`) and the `n_beta` that it would sample at. Only shapes
    are traced: no loss is evaluated, and nothing is compiled.

    Args:
        loss_fn: (weights, examples) -> the loss of each example.
        params: Weights w*; with `steps`, every array has a leading checkpoint axis.
        data: Examples with a leading axis, or a function from a key to examples.
        sampler: How to sample; an `n_beta` of None becomes n / ln n.
        steps: Training steps that name the checkpoints; None for a single model.
        grid: Numbers of the sampler to vary, by name.
        masks: Pytrees of booleans, by name, True where weights are sampled; None to
            sample every weight.
        seeds: Numbers that name the repeats; None for one.
        num_chains: Chains at every place, at least 1.
        schedule: How many draws and steps a chain has.
        batch_size: Examples per step; None for all of them.
        observables: Functions of the weights, or other data whose losses are wanted.
        noise: Numbers that keys are folded from in place of `steps`, one for each.

    Returns:
        The sweep, with a label for every place on every axis.

    Raises:
        ValueError: an argument does not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import llc
        >>> job = llc.make_job(
        ...     lambda w, x: (w * x) ** 2, jnp.array(0.0), jnp.ones(100),
        ...     llc.SGLD(1e-4), steps=None, grid={"gamma": [1.0, 10.0]}, masks=None,
        ...     seeds=None, num_chains=4, schedule=llc.Schedule(500, 500, 1),
        ...     batch_size=10, observables=None,
        ... )
        >>> job.lengths
        {'checkpoint': 1, 'gamma': 2, 'mask': 1, 'seed': 1, 'chain': 4}
        >>> round(job.sampler.n_beta, 2)  # 100 / ln 100
        21.71
    """
    params, data = jax.tree.map(_on_device, (params, data))
    params = jax.tree.map(_at_least_float32, params)
    models = params if steps is not None else _as_one_checkpoint(params)
    _check_models(models, steps)
    model = _first(models)
    problem = make_problem(loss_fn, data, batch_size, model)
    sampler = _resolve_n_beta(sampler, problem)
    _check_schedule(schedule, num_chains)
    _check_sampler(sampler, problem, schedule, model)
    stacked, dimensions = _stack_masks(masks, model)
    axes = {
        "checkpoint": list(steps) if steps is not None else [0],
        **_check_grid(sampler, grid or {}),
        "mask": list(masks) if masks is not None else ["all"],
        "seed": list(seeds) if seeds is not None else [0],
        "chain": list(range(num_chains)),
    }
    for name, labels in axes.items():
        if not labels:
            raise ValueError(f"llc: the axis {name!r} of the sweep is empty.")
    noise = list(axes["checkpoint"] if noise is None else noise)
    if len(noise) != len(axes["checkpoint"]):
        raise ValueError(
            f"llc: `noise` needs a number for each of {len(axes['checkpoint'])} "
            f"checkpoints; got {len(noise)}."
        )
    watched = _as_functions(problem, observables or {})
    return Job(
        problem, sampler, models, stacked, dimensions, watched, schedule, axes, noise
    )


def _as_functions(problem: Problem, observables: Mapping[str, Any]) -> Observables:
    functions: dict[str, Any] = {
        name: observed if callable(observed) else problem.on(observed)
        for name, observed in observables.items()
    }
    return functions


def _on_device(x: Any) -> Any:
    # Equinox takes NumPy's arrays for constants, and would compile them in.
    return jnp.asarray(x) if isinstance(x, np.ndarray | np.generic) else x


def _at_least_float32(x: Any) -> Any:
    """Weights wide enough for steps that are small beside them.

    In half precision most of a drift is rounded away and the noise stays, which heats
    the chain. Every number of a half-precision format is one of float32, so w* is the
    same place.
    """
    narrow = eqx.is_inexact_array(x) and jnp.finfo(x.dtype).bits < 32
    return x.astype(jnp.float32) if narrow else x


# Programs of all weights, where each of their shapes would take several of its own.
@eqx.filter_jit
def _as_one_checkpoint(params: PyTree) -> PyTree:
    return jax.tree.map(lambda x: x[None] if eqx.is_array(x) else x, params)


@eqx.filter_jit
def _first(models: PyTree) -> PyTree:
    return jax.tree.map(lambda x: x[0] if eqx.is_array(x) else x, models)


def _check_models(models: PyTree, steps: Sequence[int] | None) -> None:
    leaves = named_leaves(models)
    if not any(jnp.issubdtype(x.dtype, jnp.floating) for x in leaves.values()):
        raise ValueError(
            "llc: `params` holds no floating-point array, so there is nothing to "
            "sample. Pass the weights, such as an Equinox module or a dict of arrays."
        )
    if steps is None:
        return
    if len(set(steps)) != len(steps):
        raise ValueError(f"llc: `steps` names a checkpoint twice: {list(steps)}.")
    for name, leaf in leaves.items():
        if leaf.shape[:1] != (len(steps),):
            raise ValueError(
                f"llc: with {len(steps)} `steps`, every array of `params` needs a "
                f"leading axis of {len(steps)} checkpoints; {name!r} is "
                f"{list(leaf.shape)}. Stack the models with `llc.stack_models`."
            )


def _resolve_n_beta(sampler: AbstractSampler, problem: Problem) -> AbstractSampler:
    if sampler.n_beta is not None:
        return sampler
    if problem.n is None or problem.n < 2:
        raise ValueError(
            f"llc: the default `n_beta` is n / ln n for n examples, and here n is "
            f"{problem.n or 'not known'}. Give the sampler its `n_beta`."
        )
    return sampler.with_numbers(n_beta=problem.n / math.log(problem.n))


def _check_schedule(schedule: Schedule, num_chains: int) -> None:
    counts = {
        "num_chains": (num_chains, 1),
        "num_draws": (schedule.num_draws, 1),
        "num_burnin": (schedule.num_burnin, 0),
        "steps_between_draws": (schedule.steps_between_draws, 1),
    }
    for name, (value, least) in counts.items():
        # True would pass for 1.
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise ValueError(f"llc: `{name}` must be a whole number; got {value!r}.")
        if value < least:
            raise ValueError(f"llc: `{name}` must be at least {least}; got {value}.")


def _check_sampler(
    sampler: AbstractSampler, problem: Problem, schedule: Schedule, model: PyTree
) -> None:
    who = type(sampler).__name__
    preconditioner = getattr(sampler, "preconditioner", None)
    # RMSprop's is a method, which learns its own.
    if isinstance(preconditioner, AbstractPreconditioner):
        preconditioner.check(eqx.filter(model, eqx.is_inexact_array))
    if sampler.full_batch and (
        problem.batch_size is not None or problem.population is not None
    ):
        raise ValueError(
            f"llc: {who} tests its proposals and needs all examples at every step. "
            "Leave out `batch_size`, and give the data themselves, not a function."
        )
    if sampler.needs_burnin and not schedule.num_burnin:
        raise ValueError(
            f"llc: {who} learns its preconditioner in burn-in and then keeps it; "
            "give `num_burnin`, or the sampler frozen=False."
        )


def _check_grid(
    sampler: AbstractSampler, grid: Mapping[str, Sequence[float]]
) -> dict[str, list[float]]:
    known = sampler.numbers()
    for name, values in grid.items():
        if name not in known:
            what = f"number of {type(sampler).__name__} in `grid`"
            raise ValueError(f"llc: {unknown(what, name, known)}")
        for value in values:
            # The sampler's own checks speak for every value.
            sampler.with_numbers(**{name: float(value)})
    return {name: [float(v) for v in values] for name, values in grid.items()}


def _stack_masks(
    masks: Mapping[str, PyTree] | None, model: PyTree
) -> tuple[PyTree | None, tuple[int, ...]]:
    params = eqx.filter(model, eqx.is_inexact_array)
    if masks is None:
        return None, (int(count(params)),)
    whole, dimensions = [], []
    for name, mask in masks.items():
        spread = _spread(name, mask, params)
        kept = sum(int(m.sum()) for m in jax.tree.leaves(spread))
        if not kept:
            raise ValueError(
                f"llc: the mask {name!r} keeps no coordinate, so there is nothing to "
                "sample. It is True where weights are sampled."
            )
        dimensions.append(kept)
        # A mask of whole arrays stays one boolean each, however large the model.
        whole.append(_compact(mask, params))
    return jax.tree.map(_stack_broadcast, *whole), tuple(dimensions)


def _stack_broadcast(*masks: Array) -> Array:
    # A mask may be one boolean where another has an axis.
    shape = np.broadcast_shapes(*(m.shape for m in masks))
    return jnp.stack([jnp.broadcast_to(m, shape) for m in masks])


def _compact(mask: PyTree, params: PyTree) -> PyTree:
    """Booleans of the parameters' rank, with axes of length 1 where they may be."""
    return jax.tree.map(
        lambda x, m: jnp.asarray(m, bool).reshape(
            (1,) * (x.ndim - jnp.ndim(m)) + jnp.shape(m)
        ),
        params,
        _like(mask, params),
    )


def _spread(name: str, mask: PyTree, params: PyTree) -> PyTree:
    try:
        return jax.tree.map(
            lambda x, m: np.broadcast_to(np.asarray(m, bool), x.shape),
            params,
            _like(mask, params),
        )
    except ValueError as error:
        raise ValueError(
            f"llc: the mask {name!r} does not fit the weights: {error}. It has their "
            "structure, with booleans that broadcast to each array."
        ) from error


def _like(mask: PyTree, params: PyTree) -> PyTree:
    # The mask may have leaves where the parameters have none.
    return jax.tree.map(lambda _, m: m, params, mask)
