"""Numbers as events that TensorBoard reads."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._tracker import AbstractTracker, TrackedRun, TrackerSpec


class TensorBoard(AbstractTracker):
    """Scalar events, which TensorBoard holds in float32.

    TensorFlow and PyTorch are not needed. Every sitting adds a file. Numbers of the
    whole run stand at step 0, since an event has to have a step.

    Args:
        folder: Where a folder of the study's name goes; `tracking` in the run's folder
            if empty.
    """

    rewinds = True

    def __init__(self, folder: str = ""):
        self._folder = folder

    def start(self, run: TrackedRun, state: Mapping[str, Any]) -> None:
        """Begin a file of events, after cutting off what the last one has too much.

        Args:
            run: Whose numbers will come.
            state: Name and length of the file of the sitting before.

        Raises:
            OSError: the folder cannot be written.
        """
        from tensorboard.summary.writer.event_file_writer import (  # pyright: ignore[reportMissingImports]
            EventFileWriter,
        )

        folder = run.local(self._folder) / run.name
        folder.mkdir(parents=True, exist_ok=True)
        last = folder / state.get("file", "")
        if state and last.exists() and last.stat().st_size > state["bytes"]:
            # What a killed run has written after its last record comes again.
            os.truncate(last, state["bytes"])
        before = set(folder.iterdir())
        self._writer = EventFileWriter(str(folder))
        (self._path,) = set(folder.iterdir()) - before

    def write(self, step: int | None, values: Mapping[str, float]) -> None:
        """Write one event with all numbers of a step.

        Args:
            step: The checkpoint's step, or None.
            values: Name -> number.
        """
        from tensorboard.compat.proto import (  # pyright: ignore[reportMissingImports]
            event_pb2,
            summary_pb2,
        )

        item = summary_pb2.Summary.Value
        items = [item(tag=name, simple_value=x) for name, x in values.items()]
        summary = summary_pb2.Summary(value=items)
        event = event_pb2.Event(wall_time=time.time(), step=step or 0, summary=summary)
        self._writer.add_event(event)
        # Events are written by a thread; the state below is of what is in the file.
        self._writer.flush()

    def state(self) -> dict[str, Any]:
        """Name and length of the file."""
        return {"file": self._path.name, "bytes": Path(self._path).stat().st_size}

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


SPEC = TrackerSpec(
    "tensorboard",
    "events for TensorBoard, without TensorFlow",
    TensorBoard,
    module="tensorboard",
    install="jaxcirc[tensorboard]",
)
