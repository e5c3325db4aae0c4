"""How much memory measurements will take, from the compiler, without running them."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import PyTree

from .._core import named_leaves, stack_trees
from ..models import Transformer
from ._config import Measurement, Prepared
from ._measurements import AlongRun, PerCheckpoint, Snapshot, Use, Used
from ._scopes import along_program, begin_program, checkpoints_at_once, chunk_program


def measuring_memory(row: Measurement, prepared: Prepared) -> int | None:
    """Bytes that measuring one chunk of checkpoints will hold at its peak.

    The compiler's own count for the program that `run` runs, with its arguments:
    checkpoints, data and what is compared with.

    Args:
        row: The measurement with its options and steps.
        prepared: The study that it is of.

    Returns:
        The bytes, or None where they cannot be known: of a measurement that runs whole
        programs of its own, as sampling does, which fits them to the device's memory or
        refuses; and of one that uses what such a measurement finds.

    Raises:
        ValueError: the measurement cannot be compiled for this model and task.
    """
    measure = row.measure
    if not _is_traced(row, prepared):
        return None
    along = isinstance(measure, AlongRun)
    models = prepared.source.seeds * (1 if along else checkpoints_at_once())
    try:
        given = eqx.filter_eval_shape(lambda: _arguments(row, prepared, models))
        # Shapes alone, so that nothing of the models' size is made.
        shapes, rest = eqx.partition((*given, prepared.task_of(row)), _is_array_like)
        program = _program(measure)
        compiled = jax.jit(lambda x, key: program(*eqx.combine(x, rest), key))
        memory = compiled.lower(shapes, jr.key(0)).compile().memory_analysis()
    # A package's measurement may raise anything while it is traced.
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if memory is None:
        return None  # a backend that does not count
    used = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return used + memory.temp_size_in_bytes


def _arguments(row: Measurement, prepared: Prepared, number: int) -> tuple:
    """Arguments as the runner gives them: snapshots, and a state if there is one."""
    task = prepared.task_of(row)
    one = Transformer(prepared.model, key=jr.key(0))
    stacked = stack_trees([one] * number)
    inputs: dict[str, Any] = {}
    for name, use in row.uses.items():
        if use.is_model:
            kept = row.measure.observe(one, task, key=jr.key(0))
            found, steps = stack_trees([kept] * number), row.steps
        else:
            used = _used_row(use, prepared)
            found, steps = _found(used, prepared, number), used.steps
        if use.at == "all":
            found = _repeated(found, len(steps))
        inputs[name] = found
    flags = jnp.zeros(number, int), jnp.zeros(number, bool)
    shots = Snapshot(flags[0], stacked, stacked, flags[1], inputs)
    if not isinstance(row.measure, AlongRun):
        return (shots,)
    state = begin_program(row.measure)(stacked, task, jr.key(0))
    return state, shots


def _found(row: Measurement, prepared: Prepared, number: int) -> Used:
    """What a row finds for a number of models, as rows that use it are given it."""
    arguments = (*_arguments(row, prepared, number), prepared.task_of(row), jr.key(0))
    found = _program(row.measure)(*arguments)
    if isinstance(row.measure, AlongRun):
        _, found = found  # a state comes first
    quantities = {name: q.values for name, q in found.quantities.items()}
    # From a file, a tree of arrays is read by names.
    artefacts = {name: named_leaves(tree) for name, tree in found.artefacts.items()}
    return Used(quantities, artefacts)


def _program(measure: Any) -> Callable[..., Any]:
    """The program that the runner compiles for a measurement of either scope."""
    if isinstance(measure, AlongRun):
        return along_program(measure)
    return chunk_program(measure)


def _repeated(stacked: PyTree, times: int) -> PyTree:
    """Arrays of all seeds with a second axis, of steps."""
    return jax.tree.map(lambda x: jnp.stack([x] * times, axis=1), stacked)


def _used_row(use: Use, prepared: Prepared) -> Measurement:
    return next(row for row in prepared.measurements if row.id == use.of)


def _is_traced(row: Measurement, prepared: Prepared) -> bool:
    """Whether the runner compiles the row, and all rows that it uses.

    What others find has no shape before they run.
    """
    return isinstance(row.measure, PerCheckpoint | AlongRun) and all(
        use.is_model or _is_traced(_used_row(use, prepared), prepared)
        for use in row.uses.values()
    )


def _is_array_like(x: Any) -> bool:
    """Whether this is an array or the shape of one."""
    return eqx.is_array(x) or isinstance(x, jax.ShapeDtypeStruct)
