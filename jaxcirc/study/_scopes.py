"""How each scope is run: checkpoints in, outcomes out, one compilation for all."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .._core import stack_trees
from ..tasks import AbstractTask
from ._measurements import (
    AlongRun,
    Chunk,
    Outcome,
    PerCheckpoint,
    PerChunk,
    Quantity,
    Snapshot,
    checked,
)
from ._snapshots import Loaded

# What a row uses at one step, by name; arrays have a leading axis of seeds.
Inputs = Mapping[str, PyTree]
# Loaded checkpoints with what is used at each -> an outcome for each.
Runner = Callable[[Sequence[tuple[Loaded, Inputs]]], Iterator[Outcome]]


class State(NamedTuple):
    """How a row that goes along the run reads and saves its state.

    Args:
        read: (shapes of the state) -> the saved state, or None if there is none.
        write: (step, state) -> None; saves it.
    """

    read: Callable[[PyTree], PyTree | None]
    write: Callable[[int, PyTree], None]


def checkpoints_at_once() -> int:
    """Checkpoints in one call: one fills a CPU, an accelerator has room for more."""
    return 1 if jax.default_backend() == "cpu" else 8


def runner(
    measure: Any, task: AbstractTask, key: jax.Array, *, at_once: int, state: State
) -> Runner:
    """A function that runs a measurement over checkpoints.

    Args:
        measure: A measurement of one of the scopes that see checkpoints.
        task: The study's task.
        key: The row's own key.
        at_once: Checkpoints in one call of a compiled program.
        state: Where a state is kept, for measurements that have one.
    """
    if isinstance(measure, PerCheckpoint):
        return _per_checkpoint(measure, task, key, at_once)
    if isinstance(measure, PerChunk):
        return functools.partial(_per_chunk, measure, task, key)
    assert isinstance(measure, AlongRun)
    return _AlongRunner(measure, task, key, state)


def chunk_program(
    measure: PerCheckpoint,
) -> Callable[[Snapshot, AbstractTask, jax.Array], Outcome]:
    """(stacked snapshots, task, key) -> stacked outcomes, to be compiled once."""

    def program(shots: Snapshot, task, key) -> Outcome:
        def one(shot: Snapshot) -> Outcome:
            with jax.default_matmul_precision("highest"):
                found = measure(shot, task, key=key)
            return _without_previous(checked(found), shot.has_previous)

        return _over_models(one, shots)

    return program


def along_program(
    measure: AlongRun,
) -> Callable[[PyTree, Snapshot, AbstractTask, jax.Array], tuple[PyTree, Outcome]]:
    """(states, snapshots, task, key) -> the next states and outcomes of all seeds."""

    def program(states: PyTree, shots: Snapshot, task, key):
        def one(pair) -> tuple[PyTree, Outcome]:
            state, shot = pair
            with jax.default_matmul_precision("highest"):
                state, found = measure.step(state, shot, task, key=key)
            return state, _without_previous(checked(found), shot.has_previous)

        return _over_models(one, (states, shots))

    return program


def begin_program(
    measure: AlongRun,
) -> Callable[[PyTree, AbstractTask, jax.Array], PyTree]:
    """(models of all seeds, task, key) -> their states before the first step."""

    def program(models: PyTree, task, key) -> PyTree:
        def one(model) -> PyTree:
            with jax.default_matmul_precision("highest"):
                return measure.init(model, task, key=key)

        return _over_models(one, models)

    return program


def compiled(make: Callable[[Any], Callable], measure: Any) -> Callable:
    """The program of a measurement, to be compiled at its first call.

    Equal measurements share it, so that the studies of a sweep, and rows that differ in
    what they use alone, are traced and compiled once.

    Args:
        make: Which program: `chunk_program`, `along_program` or `begin_program`.
        measure: The measurement.
    """
    # 1 and 1.0 are equal, and may compute in other types.
    types = tuple(map(type, jax.tree.leaves(measure)))
    try:
        return _shared(make, measure, types)
    except TypeError:  # arrays among its options have no hash
        return eqx.filter_jit(make(measure))


@functools.lru_cache(maxsize=64)
def _shared(make: Callable, measure: Any, types: tuple[type, ...]) -> Callable:  # noqa: ARG001
    return eqx.filter_jit(make(measure))


def stacked_snapshot(loaded: Loaded, inputs: Inputs) -> Snapshot:
    """A checkpoint of all seeds, with the same step and flag for each of them.

    Args:
        loaded: The checkpoint, and the one before if anybody looks back.
        inputs: What the row uses at its step, for every seed.
    """
    seeds = len(jax.tree.leaves(loaded.model)[0])
    there = loaded.previous is not None
    return Snapshot(
        step=jnp.full(seeds, loaded.step),
        model=loaded.model,
        previous=loaded.previous if there else loaded.model,
        has_previous=jnp.full(seeds, there),
        inputs=dict(inputs),
    )


def _over_models(one: Callable[[Any], Any], stacked: Any) -> Any:
    """A function's value for every model of a stack."""
    # As in training: a CPU keeps one model in cache, an accelerator has room.
    if jax.default_backend() == "cpu":
        return jax.lax.map(one, stacked)
    return jax.vmap(one)(stacked)


def _without_previous(found: Outcome, has_previous: jax.Array) -> Outcome:
    """NaN in what compares with the checkpoint before, where there is none."""

    def blank(quantity: Quantity) -> Quantity:
        if not quantity.since_previous:
            return quantity
        values = jnp.where(has_previous, quantity.values, jnp.nan)
        return eqx.tree_at(lambda q: q.values, quantity, values)

    quantities = {name: blank(q) for name, q in found.quantities.items()}
    return Outcome(quantities, found.artefacts, found.failure)


def _per_checkpoint(
    measure: PerCheckpoint, task: AbstractTask, key: jax.Array, at_once: int
) -> Runner:
    """A runner that compiles once and takes several checkpoints at a time."""
    program = compiled(chunk_program, measure)

    def run(some: Sequence[tuple[Loaded, Inputs]]) -> Iterator[Outcome]:
        shots = [stacked_snapshot(*pair) for pair in some]
        seeds = len(shots[0].step)
        # A short chunk is filled up with its last member: one shape, one compilation.
        padded = shots + [shots[-1]] * (at_once - len(some))
        stacked = padded[0]
        if len(padded) > 1:
            stacked = jax.tree.map(lambda *xs: jnp.concatenate(xs), *padded)
        measured = jax.device_get(program(stacked, task, key))
        for i in range(len(some)):
            own = slice(i * seeds, (i + 1) * seeds)
            yield jax.tree.map(lambda x, own=own: np.asarray(x)[own], measured)

    return run


def _per_chunk(
    measure: PerChunk,
    task: AbstractTask,
    key: jax.Array,
    some: Sequence[tuple[Loaded, Inputs]],
) -> Iterator[Outcome]:
    """The outcomes of a measurement that brings a program of its own."""
    chunk = Chunk(
        tuple(loaded.step for loaded, _ in some),
        stack_trees([loaded.model for loaded, _ in some]),
        stack_trees([dict(inputs) for _, inputs in some]),
    )
    measured = checked(measure(chunk, task, key=key), lead=2)
    for i in range(len(some)):
        yield jax.tree.map(lambda x, i=i: np.asarray(x)[i], measured)


class _AlongRunner:
    """Carries a state from one checkpoint to the next, and saves it."""

    def __init__(
        self, measure: AlongRun, task: AbstractTask, key: jax.Array, state: State
    ):
        self._begin = compiled(begin_program, measure)
        self._step = compiled(along_program, measure)
        self._task, self._key, self._files = task, key, state
        self._state: PyTree | None = None

    def __call__(self, some: Sequence[tuple[Loaded, Inputs]]) -> Iterator[Outcome]:
        for loaded, inputs in some:
            shot = stacked_snapshot(loaded, inputs)
            if self._state is None:
                self._state = self._first(loaded)
            # States and outcomes of all seeds in one call, as for other scopes.
            state, found = self._step(self._state, shot, self._task, self._key)
            found = jax.device_get(found)
            self._state = state
            # The cell is written first: with an older state its step is done again.
            yield jax.tree.map(np.asarray, found)
            self._files.write(loaded.step, state)

    def _first(self, loaded: Loaded) -> PyTree:
        """The saved state, or a new one."""
        arguments = (loaded.model, self._task, self._key)
        shapes = eqx.filter_eval_shape(self._begin, *arguments)
        saved = self._files.read(shapes)
        return self._begin(*arguments) if saved is None else saved
