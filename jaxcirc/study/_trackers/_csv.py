"""Numbers as lines of one CSV file."""

import csv
import os
from collections.abc import Mapping
from typing import Any

from ._tracker import AbstractTracker, TrackedRun, TrackerSpec

HEADER = ("step", "name", "value")


class CSV(AbstractTracker):
    """A line for each number: step, name, value; the step is empty where there is none.

    Long lines of many columns would have to be written anew whenever a measurement is
    added. Values are written so that reading them gives the same float.

    Args:
        folder: Where `NAME.csv` goes; `tracking` in the run's folder if empty.
    """

    rewinds = True

    def __init__(self, folder: str = ""):
        self._folder = folder

    def start(self, run: TrackedRun, state: Mapping[str, Any]) -> None:
        """Open the file where an earlier sitting has left it.

        Args:
            run: Whose numbers will come.
            state: The length of the file in `bytes`.

        Raises:
            ValueError: the file is not the one that the run has written.
            OSError: it cannot be written.
        """
        folder = run.local(self._folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{run.name}.csv"
        if state:
            if not path.exists() or path.stat().st_size < state["bytes"]:
                raise ValueError(
                    f"{path} lacks numbers that were written to it. Restore it, or "
                    f"delete {run.folder}/tracking/csv.json to write all again."
                )
            # What a killed run has written after its last record comes again.
            os.truncate(path, state["bytes"])
        elif self._folder and path.exists():
            raise ValueError(
                f"{path} is there already, of another run; give this one another "
                "`folder`."
            )
        # Open until `close`, since numbers come for hours.
        self._file = path.open("a" if state else "w", newline="", encoding="utf-8")
        if not state:
            csv.writer(self._file).writerow(HEADER)

    def write(self, step: int | None, values: Mapping[str, float]) -> None:
        """Append a line for each number.

        Args:
            step: The checkpoint's step, or None.
            values: Name -> number.
        """
        place = "" if step is None else step
        lines = [(place, name, repr(value)) for name, value in values.items()]
        csv.writer(self._file).writerows(lines)
        self._file.flush()

    def state(self) -> dict[str, Any]:
        """The length of the file."""
        return {"bytes": os.fstat(self._file.fileno()).st_size}

    def close(self) -> None:
        """Close the file."""
        self._file.close()


SPEC = TrackerSpec("csv", "lines `step,name,value` in one file", CSV)
