"""How much memory measurements will take, from the compiler, without running them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from .._core import stack_trees
from ..models import Transformer
from ._config import Measurement, Prepared
from ._measure import checkpoints_at_once, chunk_program
from ._measurements import AT_HAND, Snapshot


def measuring_memory(row: Measurement, prepared: Prepared) -> int | None:
    """Bytes that measuring one chunk of checkpoints will hold at its peak.

    The compiler's own count for the program that `run` runs, with its arguments:
    checkpoints, data and what is compared with.

    Returns:
        The bytes, or None for a measurement that runs whole programs of its own, as
        sampling does: it fits them to the device's memory, or refuses.

    Raises:
        ValueError: the measurement cannot be compiled for this model and task.
    """
    if row.measure.batched:
        return None
    models = prepared.training.seeds * checkpoints_at_once()
    try:
        shots = eqx.filter_eval_shape(lambda: _shots(row, prepared, models))
        shapes, rest = eqx.partition((shots, prepared.task), _is_array_like)
        program = chunk_program(row)
        compiled = jax.jit(lambda x, key: program(*eqx.combine(x, rest), key))
        memory = compiled.lower(shapes, jr.key(0)).compile().memory_analysis()
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if memory is None:
        return None  # a backend that does not count
    used = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return used + memory.temp_size_in_bytes


def _shots(row: Measurement, prepared: Prepared, number: int) -> Snapshot:
    """Snapshots as the runner stacks them, of fresh models."""
    one = Transformer(prepared.model, key=jr.key(0))
    stacked = stack_trees([one] * number)
    target: Any = None
    if row.measure.reference not in AT_HAND:
        target = row.measure.observe(one, prepared.task, key=jr.key(0))
        if row.measure.reference == "all":
            target = stack_trees([target] * len(row.steps))
        target = stack_trees([target] * number)
    return Snapshot(stacked, stacked, jnp.zeros(number, int), target)


def _is_array_like(x: Any) -> bool:
    return eqx.is_array(x) or isinstance(x, jax.ShapeDtypeStruct)
