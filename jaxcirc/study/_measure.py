"""Measure checkpoints: one compiled program per measurement, for all of them."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import xarray as xr

from .._core import fold_name, seed_key
from ..checkpoints import CheckpointError, Trajectory
from ._basis import Basis, Fingerprints
from ._config import Measurement, Prepared
from ._inputs import Inputs, UsedHasFailed
from ._label import Labeller
from ._measurements import AlongRun, Once, Outcome, checked
from ._scopes import Runner, State, checkpoints_at_once, runner
from ._snapshots import Loaded, Unreadable, non_finite_weights, stream_snapshots
from ._store import Place, RowFolder, Study

OnCell = Callable[[str, Place], None]
OnChunk = Callable[[], None]


class _Cells(NamedTuple):
    """A row with the cells that it still lacks.

    Args:
        row: The row.
        missing: The places of these cells.
        basis: What each of its cells depends on.
        key: The row's key.
    """

    row: Measurement
    missing: frozenset[Place]
    basis: Basis
    key: jax.Array


class Work:
    """The cells that a study lacks, and the checkpoints to measure them of.

    Cells that were measured of something else than what there is now are deleted: of a
    checkpoint or another thing that has changed, or by another version of this library.

    Args:
        prepared: The study.
        study: Where cells are; begun, and held for writing.
        trajectories: One per seed, with the same steps.

    Raises:
        CheckpointError: a cell is damaged.
        ValueError: a row uses a run that is not there.
    """

    def __init__(
        self, prepared: Prepared, study: Study, trajectories: Sequence[Trajectory]
    ):
        self.prepared, self.study, self.trajectories = prepared, study, trajectories
        known = study.read_run().get("checkpoints", {})
        self.fingerprints = Fingerprints(
            trajectories, {int(step): entry for step, entry in known.items()}
        )
        self.bases: dict[str, Basis] = {}
        self.stages: list[list[_Cells]] = []
        for stage in prepared.stages:
            self.stages.append([self._cells(row) for row in stage])

    @property
    def missing(self) -> list[tuple[str, Place]]:
        """Row and step of each cell to measure; no step where a row runs once."""
        cells = {c.row.id: c for c in itertools.chain(*self.stages)}
        ordered = [cells[row.id] for row in self.prepared.measurements]
        return [
            (c.row.id, p) for c in ordered for p in c.basis.places if p in c.missing
        ]

    @property
    def present(self) -> list[tuple[str, Place]]:
        """Row and step of each cell that is there already, and as it should be."""
        cells = itertools.chain(*self.stages)
        return [
            (c.row.id, p) for c in cells for p in c.basis.places if p not in c.missing
        ]

    def options(self, row: str) -> dict[str, Any]:
        """The name and options of a row, by its id."""
        (found,) = (r for r in self.prepared.measurements if r.id == row)
        own = {"task": dict(found.said)} if found.said else {}
        return {"name": found.name, **found.options, **own}

    def _cells(self, row: Measurement) -> _Cells:
        """A row with the cells that it lacks; cells out of date are deleted."""
        steps = [step for step in row.steps if step in self.fingerprints.steps]
        basis = Basis(row, steps, self.bases, self.trajectories, self.fingerprints)
        self.bases[row.id] = basis
        folder = self.study.row(row.id)
        taken = folder.steps.intersection(basis.places)
        current = {p for p in taken if folder.basis(p) == basis.of(p)}
        if isinstance(row.measure, AlongRun):
            current = _with_state(folder, basis, current)
        for place in taken - current:
            folder.remove(place)
        key = fold_name(seed_key(self.prepared.source.seed), f"measure/{row.id}")
        return _Cells(row, frozenset(basis.places) - current, basis, key)


def _with_state(folder: RowFolder, basis: Basis, current: set[Place]) -> set[Place]:
    """The cells up to which the saved state has come; later ones are made again."""
    there, saved = current | folder.failed_steps, folder.state.basis
    seen: set[Place] = set()
    for place in basis.places:
        if place not in there:
            break
        seen.add(place)
        if basis.of(place) == saved:
            return seen
    return set()


def measure_missing(
    work: Work,
    *,
    at_once: int | None = None,
    on_cell: OnCell | None = None,
    on_chunk: OnChunk | None = None,
    debug: bool = False,
) -> None:
    """Measure what has no cell yet, in order of steps.

    Rows go through the checkpoints together, so that each checkpoint is read once; rows
    that use others' outcomes of other steps do so after those are finished. A row that
    fails at a step, whatever it fails of, leaves a cell that says why, and the others
    go on.

    Args:
        work: The cells to measure, and the checkpoints.
        at_once: Checkpoints per call of the compiled program. By default one on a CPU,
            where a call fills the machine, and eight on an accelerator.
        on_cell: Called with (measurement, step) after each cell.
        on_chunk: Called when every row has seen the checkpoints at hand, and when rows
            that run once have done so.
        debug: Raise the first failure in its place.

    Raises:
        CheckpointError: a checkpoint of the run's own is damaged.
        OSError: a cell cannot be written.
    """
    at_once = checkpoints_at_once() if at_once is None else at_once
    try:
        for stage in work.stages:
            rows = [
                _Row(cells, work, at_once, on_cell, debug)
                for cells in stage
                if cells.missing
            ]
            on_chunk = on_chunk or (lambda: None)
            _through_checkpoints(rows, work, at_once, on_chunk)
            for row in rows:
                row.run_once()
            on_chunk()
    finally:
        work.study.record({"checkpoints": work.fingerprints.record()})


def _through_checkpoints(
    rows: Sequence["_Row"], work: Work, at_once: int, on_chunk: OnChunk
) -> None:
    """Give every row the checkpoints that it lacks, a few at a time."""
    wanted = sorted({p for row in rows for p in row.missing if p is not None})
    stream = stream_snapshots(
        work.trajectories,
        wanted,
        look_back=any(row.looks_back for row in rows),
        # A broken file of a run's own is to be mended; of a published one, to be told.
        broken="raise" if work.prepared.source.is_own else "give",
    )

    def measure(chunk: list[Loaded | Unreadable]) -> bool:
        notes = {x.step: non_finite_weights(x) for x in chunk if isinstance(x, Loaded)}
        for row in rows:
            row.measure(chunk, notes)
        on_chunk()
        return bool(chunk)

    # No name holds a chunk while the next one is read.
    while measure(list(itertools.islice(stream, at_once))):
        pass


class _Row:
    """A row at work: it turns checkpoints into cells.

    What fails while it is made ready, such as reading what it uses, is told in each of
    its cells.
    """

    def __init__(
        self,
        cells: _Cells,
        work: Work,
        at_once: int,
        on_cell: OnCell | None,
        debug: bool,
    ):
        self._row, self.missing, self._basis, self._key = cells
        self._work, self._on_cell, self._debug = work, on_cell, debug
        self._folder = work.study.row(self._row.id)
        self._task = work.prepared.task_of(self._row)
        self._failure: Exception | None = None
        self._unwritable: OSError | None = None
        places = {row: basis.places for row, basis in work.bases.items()}
        used = {use.of for use in self._row.uses.values()}
        shapes = {
            row.id: row.measure.artefacts(work.prepared.model)
            for row in work.prepared.measurements
            if row.id in used
        }
        given = (self._basis.steps, places, shapes, work.trajectories, work.study)
        try:
            self._inputs = Inputs(self._row, *given, self._task, self._key)
        except Exception as error:
            # A file of the run's own is to be mended, and not a cell to give up.
            own = isinstance(error, CheckpointError) and work.prepared.source.is_own
            if own or (debug and not isinstance(error, UsedHasFailed)):
                raise
            self._failure, self._inputs = error, None
        used = self._inputs.steps if self._inputs is not None else {}
        self._label = Labeller(self._row, work.prepared, self._key, used)
        self._run: Runner | None = None
        if not isinstance(self._row.measure, Once):
            self._run = runner(
                self._row.measure,
                self._task,
                self._key,
                at_once=at_once,
                state=State(self._read_state, self._write_state),
            )

    @property
    def looks_back(self) -> bool:
        """Whether the row needs the checkpoint before."""
        return self._row.measure.needs_previous

    def measure(
        self, chunk: Sequence[Loaded | Unreadable], notes: dict[int, dict[str, str]]
    ) -> None:
        """Write the cells of those checkpoints that the row lacks.

        Args:
            chunk: Checkpoints, or why they cannot be read.
            notes: Step -> attributes of its cells, such as weights that are not finite.

        Raises:
            OSError: a cell cannot be written.
        """
        mine = [x for x in chunk if x.step in self.missing]
        for unreadable in mine:
            if isinstance(unreadable, Unreadable):
                self._write(unreadable.step, self._label.failed(unreadable.error))
        some = [x for x in mine if isinstance(x, Loaded)]
        done = 0
        try:
            if some:
                self._raise_failure()
            for loaded, outcome in self._outcomes(some):
                cell = self._label.of(outcome).assign_attrs(notes.get(loaded.step, {}))
                self._write(loaded.step, cell, outcome)
                done += 1
        except Exception as error:
            if self._debug or error is self._unwritable:
                raise
            for loaded in some[done:]:
                self._write(loaded.step, self._label.failed(error))

    def run_once(self) -> None:
        """Write the cell of a row that sees no checkpoint; other rows do nothing here.

        Raises:
            OSError: the cell cannot be written.
        """
        measure = self._row.measure
        if not isinstance(measure, Once):
            return
        try:
            self._raise_failure()
            assert self._inputs is not None
            found = measure(self._task, self._inputs.fixed, key=self._key)
            outcome = jax.device_get(checked(found))
            self._write(None, self._label.of(outcome), outcome)
        except Exception as error:
            if self._debug or error is self._unwritable:
                raise
            self._write(None, self._label.failed(error))

    def _outcomes(self, some: Sequence[Loaded]) -> Iterator[tuple[Loaded, Outcome]]:
        """Each checkpoint with its outcome."""
        if not some:
            return
        assert self._run is not None
        assert self._inputs is not None
        pairs = [(loaded, self._inputs.at(loaded.step)) for loaded in some]
        yield from zip(some, self._run(pairs), strict=True)

    def _raise_failure(self) -> None:
        """Raise what went wrong while the row was made ready, if anything did."""
        if self._failure is not None:
            raise self._failure

    def _write(
        self, place: Place, cell: xr.Dataset, outcome: Outcome | None = None
    ) -> None:
        """Write a cell with its basis, and tell whoever watches."""
        artefacts = outcome.artefacts if outcome is not None else None
        cell = cell.assign_attrs(basis=self._basis.of(place))
        with self._writing():
            self._folder.write(place, cell, artefacts)
        if self._on_cell is not None:
            self._on_cell(self._row.id, place)

    def _read_state(self, like):
        """The saved state, or None where the first step is made again."""
        seen = self._folder.steps | self._folder.failed_steps
        if not seen.intersection(self._basis.places) - self.missing:
            return None  # the first step is to be made again, and so is the state
        return self._folder.state.read(like)

    def _write_state(self, step: int, state) -> None:
        """Save the state after a step."""
        basis = self._basis.of(step)
        with self._writing():
            self._folder.state.write(basis, jax.device_get(state))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Tell a disk that is full from a measurement that fails to read a file."""
        try:
            yield
        except OSError as error:
            self._unwritable = error
            raise
