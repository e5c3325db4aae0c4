"""Measure checkpoints: one compiled program per measurement, for all of them."""

import itertools
import json
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from .._core import fold_name, named_leaves, seed_key, stack_trees
from ..checkpoints import CheckpointError, Trajectory
from ._basis import Basis, Fingerprints
from ._config import Measurement, Prepared
from ._measurements import Quantity, Snapshot
from ._provenance import provenance
from ._published import Published
from ._reference import Target, observe_target
from ._store import Study, config_hash

OnCell = Callable[[str, int], None]


class _Cells(NamedTuple):
    """A measurement with the steps it still lacks, compiled once."""

    row: Measurement
    missing: frozenset[int]
    basis: Basis
    compiled: Callable[..., dict[str, Quantity]]
    key: jax.Array
    target: Target = Target()
    failure: str | None = None


class Work:
    """The cells that a study lacks, and the checkpoints to measure them of.

    Cells that were measured of something else than what there is now are deleted: of a
    checkpoint or a reference that has changed, or by another version of this library.

    Args:
        prepared: The study.
        study: Where cells are; begun, and held for writing.
        trajectories: One per seed, with the same steps.

    Raises:
        CheckpointError: a cell is damaged.
        ValueError: a reference names a run that is not there.
    """

    def __init__(
        self, prepared: Prepared, study: Study, trajectories: Sequence[Trajectory]
    ):
        self.prepared, self.study, self.trajectories = prepared, study, trajectories
        known = study.read_run().get("checkpoints", {})
        self.fingerprints = Fingerprints(
            trajectories, {int(step): entry for step, entry in known.items()}
        )
        self.cells = [self._cells(row) for row in prepared.measurements]

    @property
    def missing(self) -> list[tuple[str, int]]:
        """(measurement, step) of what is to be measured."""
        return [(c.row.id, step) for c in self.cells for step in sorted(c.missing)]

    def _cells(self, row: Measurement) -> _Cells:
        steps = [step for step in row.steps if step in self.fingerprints.steps]
        basis = Basis(row.measure, steps, self.trajectories, self.fingerprints)
        taken = self.study.cell_steps(row.id).intersection(steps)
        current = {s for s in taken if self.study.basis(row.id, s) == basis.of(s)}
        for step in taken - current:
            self.study.remove_cell(row.id, step)
        key = fold_name(seed_key(self.prepared.training.seed), f"measure/{row.id}")
        missing = frozenset(steps) - current
        return _Cells(row, missing, basis, eqx.filter_jit(chunk_program(row)), key)


def measure_missing(
    work: Work,
    *,
    at_once: int | None = None,
    on_cell: OnCell | None = None,
    debug: bool = False,
) -> None:
    """Measure what has no cell yet, in order of steps; each checkpoint is read once.

    A measurement that fails at a step, whatever it fails of, leaves a cell that says
    why, and the others go on.

    Args:
        work: What to measure, of what.
        at_once: Checkpoints per call of the compiled program. By default one on a CPU,
            where a call fills the machine, and eight on an accelerator.
        on_cell: Called with (measurement, step) after each cell.
        debug: Raise the first failure in its place.

    Raises:
        CheckpointError: a checkpoint of the run's own is damaged.
        OSError: a cell cannot be written.
    """
    prepared, study = work.prepared, work.study
    cells = [_with_target(cells, work, debug) for cells in work.cells]
    origin = {
        "config_hash": config_hash(prepared.identity()),
        "versions": json.dumps(provenance()["versions"]),
    }
    wanted = sorted(set().union(*(c.missing for c in cells)) if cells else ())
    if at_once is None:
        at_once = checkpoints_at_once()
    look_back = any(cell.row.measure.needs_previous for cell in cells)
    # A broken file of a run's own is to be mended; of a published one, to be told.
    broken = "give" if isinstance(prepared.training, Published) else "raise"
    stream = _snapshots(work.trajectories, wanted, look_back, broken)

    def write(cell: _Cells, step: int, labelled: xr.Dataset) -> None:
        study.write_cell(
            cell.row.id, step, labelled.assign_attrs(basis=cell.basis.of(step))
        )
        if on_cell is not None:
            on_cell(cell.row.id, step)

    def measure(chunk: list[tuple[int, Snapshot | CheckpointError]]) -> bool:
        broken_weights = _non_finite(chunk)
        for cell in cells:
            mine = [(step, shot) for step, shot in chunk if step in cell.missing]
            for step, shot in mine:
                if isinstance(shot, CheckpointError):
                    write(cell, step, _failed(cell, origin, shot))
            some = [(s, x) for s, x in mine if not isinstance(x, CheckpointError)]
            for step, labelled in _labelled(cell, work, some, at_once, origin, debug):
                write(cell, step, labelled.assign_attrs(broken_weights.get(step, {})))
        return bool(chunk)

    try:
        # No name holds a chunk while the next one is read.
        while measure(list(itertools.islice(stream, at_once))):
            pass
    finally:
        study.record({"checkpoints": work.fingerprints.record()})


def checkpoints_at_once() -> int:
    """Checkpoints in one call: one fills a CPU, an accelerator has room for more."""
    return 1 if jax.default_backend() == "cpu" else 8


def chunk_program(row: Measurement) -> Callable[..., dict[str, Quantity]]:
    """(stacked snapshots, task, key) -> quantities, to be compiled once."""
    one = jax.default_backend() == "cpu"

    def program(shots: Snapshot, task, key):
        def measure(shot: Snapshot) -> dict[str, Quantity]:
            with jax.default_matmul_precision("highest"):
                return row.measure(shot, task, key=key)

        # As in training: a CPU keeps one model in cache, an accelerator has room.
        return jax.lax.map(measure, shots) if one else jax.vmap(measure)(shots)

    return program


def _with_target(cells: _Cells, work: Work, debug: bool) -> _Cells:
    """With what the measurement needs of its reference, or why that cannot be had."""
    if not cells.missing:
        return cells
    measure, trajectories, task = (
        cells.row.measure,
        work.trajectories,
        work.prepared.task,
    )
    wanted = [s for s in cells.row.steps if s in work.fingerprints.steps]
    try:
        target = observe_target(measure, wanted, trajectories, task, cells.key)
    except CheckpointError as error:
        if not isinstance(work.prepared.training, Published):
            raise  # a file to mend, and not a cell to give up
        return cells._replace(failure=str(error))
    except Exception as error:
        if debug:
            raise
        return cells._replace(failure=_reason(error))
    return cells._replace(target=target)


def _failed(cell: _Cells, origin: dict[str, str], error: Exception) -> xr.Dataset:
    about = {"measurement": cell.row.name, "id": cell.row.id, **origin}
    if not isinstance(error, ValueError):
        # Not a refusal in so many words: where it happened is part of the reason.
        about["traceback"] = "".join(traceback.format_exception(error))
    return xr.Dataset(attrs=about | {"failed": _reason(error)})


def _reason(error: Exception) -> str:
    refused = isinstance(error, ValueError | jax.errors.JaxRuntimeError)
    return str(error) if refused else f"{type(error).__name__}: {error}"


def _non_finite(
    chunk: Sequence[tuple[int, Snapshot | CheckpointError]],
) -> dict[int, dict[str, str]]:
    """Step -> attributes of its cells, where weights are infinite or not numbers."""
    found = {}
    for step, shot in chunk:
        if isinstance(shot, CheckpointError):
            continue
        names = _broken_leaves(shot.model)
        if names:
            some = ", ".join(names[:4]) + (" and more" if len(names) > 4 else "")
            said = f"the checkpoint has weights that are not finite: {some}"
            found[step] = {"non_finite": some, "failed": said}
    return found


def _broken_leaves(model: Any) -> list[str]:
    leaves = {
        name: leaf
        for name, leaf in named_leaves(model).items()
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
    }
    finite = jax.device_get(_all_finite(leaves))
    return [name for name, good in finite.items() if not good]


@jax.jit
def _all_finite(leaves: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {name: jnp.isfinite(leaf).all() for name, leaf in leaves.items()}


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
            there = look_back and step > every[0] and previous is not None
            # A gap of 0 says that there is none before, or that it cannot be read.
            gap = jnp.full(len(trajectories), step - before[step] if there else 0)
            earlier: Any = previous if there else model
            yield step, Snapshot(model, earlier, gap)
            # Nothing but `previous` keeps it while the next one is read.
            del earlier
        previous = model if look_back else None
        del model


def _labelled(
    cell: _Cells,
    work: Work,
    some: list[tuple[int, Snapshot]],
    at_once: int,
    origin: dict[str, str],
    debug: bool,
) -> Iterator[tuple[int, xr.Dataset]]:
    """Cells; one that cannot be measured says why, and the study goes on."""
    prepared = work.prepared
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
    except Exception as error:
        if debug:
            raise
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
        about["role"] = quantity.role
        if quantity.chance is not None:
            about["chance"] = quantity.chance
        variables[name] = (dims, quantity.values, about)
        for dim, size in zip(dims, quantity.values.shape, strict=True):
            coords.setdefault(dim, np.arange(size))
    return xr.Dataset(variables, coords, attrs)
