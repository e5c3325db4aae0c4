"""Numbers of finished cells on their way to a tracker."""

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from .._core import digest_of
from ._config import Prepared
from ._logged import Logged
from ._measure import Work
from ._scalars import scalars
from ._store import Place, Study
from ._trackers import TrackedRun


class TrackingWarning(UserWarning):
    """A tracker has failed; the study goes on without it."""


class Tracking:
    """Feeds the tracker of a study, if it names one, with cells that are on disk.

    It is a context manager, in which `run` measures and the report is written; the
    tracker is closed at its end. Numbers are read from the cells, so what a tracker
    shows is what the results hold. All numbers of a step that are new go in one call.
    Cells of earlier sittings that the tracker lacks come first, so tracking can be
    turned on for a run that is there.

    A tracker that raises is told once by a `TrackingWarning` and left alone until the
    next run, which gives it what it lacks.

    Args:
        prepared: The study.

    Example:
        A study that names no tracker is run in the same way.

        >>> from jaxcirc.study import Tracking, load_config, prepare
        >>> with Tracking(prepare(load_config("grokking_quick"))) as tracking:
        ...     tracking.is_on
        False
    """

    def __init__(self, prepared: Prepared):
        self._track = prepared.track
        self._study = Study(prepared.config.folder)
        written = prepared.config.model_dump(exclude_defaults=True)
        folder = prepared.config.folder
        self._run = TrackedRun(prepared.config.name, folder, written)
        self.is_on = self._track is not None
        self._started = False
        self._logged: Logged | None = None
        self._work: Work | None = None
        self._new: set[tuple[str, Place]] = set()

    def __enter__(self) -> "Tracking":
        """Nothing yet: the tracker is started by the first number."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Close the tracker, if it was started."""
        started, self._started = self._started, False
        if started and self._track is not None:
            with self._trying():
                self._track.tracker.close()

    def begin(self, work: Work) -> None:
        """Look for cells that the tracker lacks; the run's folder is held.

        Args:
            work: The cells of the study, and those to measure.
        """
        if self._track is None or not self.is_on:
            return
        self._work = work
        with self._trying():
            rewinds = self._track.tracker.rewinds
            self._logged = Logged(self._study.folder, self._track.name, rewinds=rewinds)
            self._new |= set(work.present)
            self.flush()

    def cell(self, row: str, place: Place) -> None:
        """A cell has been written.

        Args:
            row: The row's id.
            place: Its step, or None of a row that runs once.
        """
        self._new.add((row, place))

    def flush(self) -> None:
        """Give the tracker the new cells, a call for each step."""
        new, self._new = self._new, set()
        # What belongs to no step comes last.
        ordered = sorted(new, key=lambda x: (x[1] is None, x[1] or 0, x[0]))
        with self._trying():
            for place, cells in itertools.groupby(ordered, key=lambda x: x[1]):
                if self.is_on and self._work is not None:
                    self._write(place, [row for row, _ in cells])

    def page(self, path: str) -> None:
        """Give the tracker the report, if there are numbers since it had the last one.

        Args:
            path: The page.
        """
        if not self.is_on or self._logged is None or not self._logged.page_is_due:
            return
        if not Path(path).is_file():
            return  # in an object store, where trackers do not read
        with self._trying(), self._study.lock():
            assert self._track is not None
            self._start()
            self._track.tracker.page(Path(path))
            self._logged.page_sent()

    def _write(self, place: Place, rows: list[str]) -> None:
        """Give the tracker the numbers of several rows at one step."""
        assert self._track is not None
        assert self._logged is not None
        assert self._work is not None
        tags, values = {}, {}
        for row in rows:
            basis = self._work.bases[row].of(place)
            tag = digest_of([self._work.options(row), basis])[:12]
            folder = self._study.row(row)
            # A cell that failed has no numbers, and no file of that name.
            if not self._logged.has(row, place, tag) and place in folder.steps:
                tags[row] = tag
                values |= scalars(row, folder.read(place))
        if not values:
            return
        tracker = self._track.tracker
        self._start()
        self._logged.sending(place, tags, tracker.state())
        try:
            tracker.write(place, values)
        except Exception:
            self._logged.unsent(place, tags)
            raise
        self._logged.sent(place, tags, tracker.state())

    def _start(self) -> None:
        """Start the tracker, once."""
        assert self._track is not None
        assert self._logged is not None
        if not self._started:
            self._track.tracker.start(self._run, self._logged.state)
            self._started = True

    @contextlib.contextmanager
    def _trying(self) -> Iterator[None]:
        """Tell once what a tracker fails of, and leave it alone from then on."""
        try:
            yield
        # It is somebody else's code, and no result depends on it.
        except Exception as error:
            was_on, self.is_on = self.is_on, False
            if was_on and self._track is not None:
                warnings.warn(
                    f"track: {self._track.name} failed and gets no more numbers of "
                    f"this run ({type(error).__name__}: {error}). The study goes on; "
                    "running it again gives the tracker what it lacks.",
                    TrackingWarning,
                    stacklevel=4,
                )
