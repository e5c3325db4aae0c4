"""What a study would do, without doing it."""

from typing import NamedTuple

import equinox as eqx
import jax.random as jr

from .._core import device_memory, named_leaves, tree_bytes
from ..models import Transformer
from ._config import Measurement, Prepared, StudyError
from ._memory import measuring_memory
from ._store import Study


class Plan(NamedTuple):
    """The size of a study.

    Args:
        parameters: Numbers of one model.
        seeds: Models trained at once.
        steps: Updates; 0 where the checkpoints are published ones.
        checkpoints: Steps whose model is kept.
        cells: Measurement -> (steps to measure, how many of them are done).
        disk_bytes: Bytes of checkpoints of all seeds, and of the state to go on from.
        memory_bytes: Peak memory of training, as the compiler counts it; without
            training that of two checkpoints, the one at hand and the next.
        measuring: Measurement -> bytes at its peak, as the compiler counts them; None
            where it fits itself to the memory there is; or why it cannot be compiled.
    """

    parameters: int
    seeds: int
    steps: int
    checkpoints: tuple[int, ...]
    cells: dict[str, tuple[int, int]]
    disk_bytes: int
    memory_bytes: int
    measuring: dict[str, int | str | None]


def check_memory(prepared: Prepared) -> None:
    """Refuse a study whose weights and optimiser alone exceed the device's memory.

    The bound is a lower one: bytes of a model, times the seeds, times the copies that
    the source holds (weights, their gradient and the optimiser's moments where it
    trains). It costs no compilation; `plan` has the compiler's own count, activations
    included. Where the device does not tell its memory, nothing is refused.

    Args:
        prepared: The study.

    Raises:
        StudyError: it cannot fit; the message says the numbers.

    Example:
        Nothing is raised, since so small a model fits any device.

        >>> from jaxcirc.study import check_memory, load_config, prepare
        >>> check_memory(prepare(load_config("grokking_quick")))
    """
    model = eqx.filter_eval_shape(Transformer, prepared.model, key=jr.key(0))
    source = prepared.source
    needed = source.copies * tree_bytes(model) * source.seeds
    available = device_memory()
    if available is not None and needed > available:
        raise StudyError(
            f"{prepared.config.name}: {source.seeds} models of "
            f"{tree_bytes(model) / 1e9:.3g} GB need at least {needed / 1e9:.3g} GB"
            f"{' to train' if source.is_own else ''}; this device has "
            f"{available / 1e9:.3g} GB. Make the model smaller or take fewer seeds."
        )


def plan(prepared: Prepared) -> Plan:
    """What running a study would take: parameters, cells, disk and memory.

    Training and every measurement are compiled for the shapes that they will have, and
    nothing is executed, so the figures are the compiler's and take as long as compiling
    takes. Cells that the run's folder already holds are counted as done.

    Args:
        prepared: The study.

    Returns:
        The figures; see `Plan`. A measurement that cannot be compiled has the reason in
        place of its bytes.
    """
    model = eqx.filter_eval_shape(Transformer, prepared.model, key=jr.key(0))
    study, source = Study(prepared.config.folder), prepared.source
    done = {row.id: study.row(row.id).steps for row in prepared.measurements}
    cells = {
        row.id: (len(row.places), len(done[row.id].intersection(row.places)))
        for row in prepared.measurements
    }
    cost = source.cost(prepared.model, prepared.task)
    return Plan(
        parameters=sum(leaf.size for leaf in named_leaves(model).values()),
        seeds=source.seeds,
        steps=cost.steps,
        checkpoints=source.checkpoint_steps,
        cells=cells,
        measuring={row.id: _measuring(row, prepared) for row in prepared.measurements},
        disk_bytes=cost.disk_bytes,
        memory_bytes=cost.memory_bytes,
    )


def _measuring(row: Measurement, prepared: Prepared) -> int | str | None:
    """The peak memory of a row in bytes, None where it fits itself, or why not."""
    try:
        return measuring_memory(row, prepared)
    # One row that cannot be compiled leaves the figures of the others.
    except ValueError as error:
        return str(error)
