"""What takes the numbers of a run to where a user watches many runs."""

import abc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple


class TrackedRun(NamedTuple):
    """What a tracker learns of the run whose numbers it gets.

    Args:
        name: The study's name.
        folder: The run's folder, as the study writes it.
        study: The study as written, in plain values.
    """

    name: str
    folder: str
    study: Mapping[str, Any]

    def local(self, asked: str) -> Path:
        """The folder on this machine that a tracker writes to.

        Args:
            asked: The folder that the study names; `tracking` in the run if empty.
        """
        return Path(asked or f"{self.folder}/tracking")


class AbstractTracker(abc.ABC):
    """A sink for scalars: it is started, takes the numbers of steps, and is closed.

    A tracker never decides what is a result: the numbers that it gets were read from
    the run's own cells, which stay the only copy that anything is computed from. So it
    may raise whatever it likes; the study tells it once and goes on without.

    `state` is handed back to `start` when the run is taken up again. A tracker that
    `rewinds` uses it to forget what it was given after that state was asked for, so
    that a run that was killed between two numbers has each exactly once. Of any other
    tracker, what was on its way when the run was killed is not sent again.
    """

    rewinds: ClassVar[bool] = False

    @abc.abstractmethod
    def start(self, run: TrackedRun, state: Mapping[str, Any]) -> None:
        """Get ready for numbers; called before the first of them.

        Args:
            run: Whose numbers will come.
            state: What `state` gave in an earlier sitting; empty in the first.

        Raises:
            Exception: it cannot be reached or written to.
        """

    @abc.abstractmethod
    def write(self, step: int | None, values: Mapping[str, float]) -> None:
        """Take all numbers of a step that are new, in one call.

        Args:
            step: The checkpoint's step. Steps may come out of order. None of numbers
                that belong to the whole run.
            values: `MEASUREMENT/QUANTITY/…` -> number, which may be NaN or infinite.

        Raises:
            Exception: they could not be taken.
        """

    def state(self) -> dict[str, Any]:
        """Plain values by which a later sitting goes on where this one is."""
        return {}

    def page(self, path: Path) -> None:  # noqa: B027
        """Take the report; trackers without a place for a page leave it.

        Args:
            path: The page, one HTML file.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Let everything that was taken arrive; nothing comes after."""


class TrackerSpec(NamedTuple):
    """A row of the catalogue of trackers.

    Args:
        name: What a study calls it in `track:`.
        summary: One line on it.
        build: Keyword options -> tracker; it opens nothing yet.
        module: The module that has to be installed for it; none if empty.
        install: What pip is told to get it.
    """

    name: str
    summary: str
    build: Callable[..., AbstractTracker]
    module: str = ""
    install: str = ""
