"""Measure checkpoints: one compiled program per measurement, for all of them."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from .._core import fold_name, seed_key, stack_trees
from ..checkpoints import CheckpointError, Trajectory
from ._config import Measurement, Prepared
from ._measurements import Quantity, Snapshot
from ._provenance import provenance
from ._published import Published
from ._reference import Target, observe_target
from ._store import Study, config_hash

OnCell = Callable[[str, int], None]
# What one cell may fail of while the others go on.
_CANNOT = (ValueError, jax.errors.JaxRuntimeError)


class _Cells(NamedTuple):
    """A measurement with the steps it still lacks, compiled once."""

    row: Measurement
    missing: frozenset[int]
    compiled: Callable[..., dict[str, Quantity]]
    key: jax.Array
    target: Target
    failure: str | None = None


def missing_cells(prepared: Prepared, study: Study) -> list[tuple[str, int]]:
    """(measurement, step) pairs that have no file yet."""
    return [
        (row.id, step)
        for row in prepared.measurements
        for step in row.steps
        if step not in study.cell_steps(row.id)
    ]


def measure_missing(
    prepared: Prepared,
    study: Study,
    trajectories: Sequence[Trajectory],
    *,
    at_once: int | None = None,
    on_cell: OnCell | None = None,
) -> None:
    """Measure what has no cell yet, in order of steps; each checkpoint is read once.

    Args:
        prepared: The study.
        study: Where cells go.
        trajectories: One per seed, with the same steps.
        at_once: Checkpoints per call of the compiled program. By default one on a CPU,
            where a call fills the machine, and eight on an accelerator.
        on_cell: Called with (measurement, step) after each cell.
    """
    cells = [
        _prepare_cells(row, prepared, study, trajectories)
        for row in prepared.measurements
    ]
    origin = {
        "config_hash": config_hash(prepared.identity()),
        "versions": json.dumps(provenance()["versions"]),
    }
    wanted = sorted(set().union(*(c.missing for c in cells)) if cells else ())
    if at_once is None:
        at_once = 1 if jax.default_backend() == "cpu" else 8
    look_back = any(cell.row.measure.needs_previous for cell in cells)
    # A broken file of a run's own is to be mended; of a published one, to be told.
    broken = "give" if isinstance(prepared.training, Published) else "raise"
    stream = _snapshots(trajectories, wanted, look_back, broken)

    def measure(chunk: list[tuple[int, Snapshot | CheckpointError]]) -> bool:
        for cell in cells:
            mine = [(step, shot) for step, shot in chunk if step in cell.missing]
            for step, shot in mine:
                if isinstance(shot, CheckpointError):
                    study.write_cell(cell.row.id, step, _failed(cell, origin, shot))
                    if on_cell is not None:
                        on_cell(cell.row.id, step)
            some = [(s, x) for s, x in mine if not isinstance(x, CheckpointError)]
            for step, labelled in _labelled(cell, prepared, some, at_once, origin):
                study.write_cell(cell.row.id, step, labelled)
                if on_cell is not None:
                    on_cell(cell.row.id, step)
        return bool(chunk)

    # No name holds a chunk while the next one is read.
    while measure(list(itertools.islice(stream, at_once))):
        pass


def _prepare_cells(
    row: Measurement,
    prepared: Prepared,
    study: Study,
    trajectories: Sequence[Trajectory],
) -> _Cells:
    there = set(trajectories[0].steps)
    missing = (set(row.steps) & there) - study.cell_steps(row.id)
    key = fold_name(seed_key(prepared.training.seed), f"measure/{row.id}")
    one = jax.default_backend() == "cpu"

    @eqx.filter_jit
    def compiled(shots: Snapshot, task, key):
        def measure(shot: Snapshot) -> dict[str, Quantity]:
            with jax.default_matmul_precision("highest"):
                return row.measure(shot, task, key=key)

        # As in training: a CPU keeps one model in cache, an accelerator has room.
        return jax.lax.map(measure, shots) if one else jax.vmap(measure)(shots)

    wanted = [step for step in row.steps if step in there]
    cells = _Cells(row, frozenset(missing), compiled, key, Target())
    if not missing:
        return cells
    try:
        target = observe_target(row.measure, wanted, trajectories, prepared.task, key)
    except CheckpointError as error:
        if not isinstance(prepared.training, Published):
            raise  # a file to mend, and not a cell to give up
        return cells._replace(failure=str(error))
    except _CANNOT as error:
        return cells._replace(failure=str(error))
    return cells._replace(target=target)


def _failed(cell: _Cells, origin: dict[str, str], error: Exception) -> xr.Dataset:
    about = {"measurement": cell.row.name, "id": cell.row.id, **origin}
    return xr.Dataset(attrs=about | {"failed": str(error)})


def _snapshots(
    trajectories: Sequence[Trajectory],
    wanted: Sequence[int],
    look_back: bool,
    broken: Literal["raise", "give"],
) -> Iterator[tuple[int, Snapshot | CheckpointError]]:
    """Wanted steps in order, all seeds stacked, and if asked the checkpoint before.

    Where a checkpoint cannot be read, the error takes its place if `broken` says so.

    In memory are the checkpoint handed out, the one being read and, if asked for, the
    one before.
    """
    every = trajectories[0].steps
    before = {s: every[max(i - 1, 0)] for i, s in enumerate(every)}
    needed = sorted({*wanted, *(before[s] for s in wanted if look_back)})
    streams = [t.stream(needed, broken=broken) for t in trajectories]
    previous: Any = None
    for step in needed:
        read = [next(stream)[1] for stream in streams]
        errors = [x for x in read if isinstance(x, CheckpointError)]
        if errors:
            if step in wanted:
                yield step, errors[0]
            previous = None
            continue
        model = stack_trees(read)
        del read
        if step in wanted:
            gap = jnp.full(len(trajectories), step - before[step])
            there = look_back and step > every[0] and previous is not None
            earlier: Any = previous if there else model
            yield step, Snapshot(model, earlier, gap)
            # Nothing but `previous` keeps it while the next one is read.
            del earlier
        previous = model if look_back else None
        del model


def _labelled(
    cell: _Cells,
    prepared: Prepared,
    some: list[tuple[int, Snapshot]],
    at_once: int,
    origin: dict[str, str],
) -> Iterator[tuple[int, xr.Dataset]]:
    """Cells; one that cannot be measured says why, and the study goes on."""
    if cell.failure is not None:
        for step, _ in some:
            yield step, _failed(cell, origin, ValueError(cell.failure))
        return
    about = {"measurement": cell.row.name, "id": cell.row.id, **origin}
    try:
        for step, measured in _measure(cell, prepared, some, at_once):
            labelled = _label(measured, cell, prepared, about)
            failure = cell.row.measure.failure(measured)
            if failure is not None:
                labelled.attrs["failed"] = failure
            yield step, labelled
    except _CANNOT as error:
        for step, _ in some:
            yield step, _failed(cell, origin, error)


def _measure(
    cell: _Cells, prepared: Prepared, some: list[tuple[int, Snapshot]], at_once: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    if not some:
        return
    if cell.row.measure.batched:
        for step, shot in some:
            yield step, cell.row.measure(shot, prepared.task, key=cell.key)
        return
    # A short chunk is filled up with its last member: one shape, one compilation.
    shots = [shot._replace(target=cell.target.observed) for _, shot in some]
    padded = shots + [shots[-1]] * (at_once - len(some))
    stacked = padded[0]
    if at_once > 1:
        stacked = jax.tree.map(lambda *xs: jnp.concatenate(xs), *padded)
    measured = jax.device_get(cell.compiled(stacked, prepared.task, cell.key))
    n_seeds = prepared.training.seeds
    for i, (step, _) in enumerate(some):
        rows = slice(i * n_seeds, (i + 1) * n_seeds)
        yield step, jax.tree.map(lambda x, rows=rows: np.asarray(x)[rows], measured)


def _label(
    measured: dict[str, Any], cell: _Cells, prepared: Prepared, attrs: dict[str, str]
) -> xr.Dataset:
    seeds = range(
        prepared.training.seed, prepared.training.seed + prepared.training.seeds
    )
    labels = cell.row.measure.coords(prepared.model, prepared.task, key=cell.key)
    coords: dict[str, Any] = {"seed": list(seeds), **labels}
    if cell.target.steps:
        coords["reference_step"] = list(cell.target.steps)
    variables = {}
    for name, quantity in measured.items():
        dims = ("seed", *quantity.dims)
        about = {"units": quantity.units, "long_name": quantity.meaning}
        if quantity.chance is not None:
            about["chance"] = quantity.chance
        variables[name] = (dims, quantity.values, about)
        for dim, size in zip(dims, quantity.values.shape, strict=True):
            coords.setdefault(dim, np.arange(size))
    return xr.Dataset(variables, coords, attrs)
