"""Progress bars for a run."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class RunProgress:
    """Two bars, training and measuring, as `jaxcirc.study.run` reports on them.

    Without any steps to train there is only the second.

    Args:
        console: The terminal.
        steps: Steps of training; 0 where nothing is trained.
    """

    def __init__(self, console: Console, steps: int):
        self._steps = steps
        self._bars = Progress(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._training: TaskID | None = None
        self._measuring: TaskID | None = None

    def __enter__(self) -> "RunProgress":
        """Show the bars."""
        self._bars.start()
        # The bar is there before the first step, which waits for a compilation.
        if self._steps:
            self._training = self._bars.add_task(
                "training ", total=self._steps, note="compiling"
            )
        self._began = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """Stop renewing the bars, which stay on the screen."""
        self._bars.stop()

    def training(self, step: int, loss: float) -> None:
        """Move the bar of training to a step."""
        assert self._training is not None
        self._bars.update(self._training, completed=step, note=f"loss {loss:.4g}")

    def measuring(self, total: int) -> None:
        """Show a bar for the cells that are to be measured."""
        if self._training is not None:
            done = self._bars.tasks[0].completed >= self._steps
            note = self._bars.tasks[0].fields["note"]
            if note == "compiling":
                self._bars.update(
                    self._training, completed=self._steps, note="done before"
                )
            elif not done:
                self._bars.update(self._training, note=f"{note}, stopped")
        note = "compiling" if total else "done before"
        self._measuring = self._bars.add_task(
            "measuring", total=total or 1, completed=0 if total else 1, note=note
        )

    def cell(self, measurement: str, step: int | None) -> None:
        """Move the bar of measuring by one cell; a row that runs once has no step."""
        assert self._measuring is not None
        note = measurement if step is None else f"{measurement}, step {step:,}"
        self._bars.update(self._measuring, advance=1, note=note)
