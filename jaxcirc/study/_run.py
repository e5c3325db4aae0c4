"""Run a study: train, measure what has not been measured, and say how it went."""

import contextlib
from typing import Protocol, runtime_checkable

from ..training import TrainingDiverged
from ._config import Prepared, StudyError
from ._measure import Work, measure_missing
from ._provenance import provenance
from ._sitting import Sitting
from ._store import Study
from ._tracking import Tracking


@runtime_checkable
class Progress(Protocol):
    """What a run tells whoever watches it; any object with these methods will do."""

    def training(self, step: int, loss: float) -> None:
        """Training has come to a step.

        Args:
            step: Updates so far.
            loss: Mean loss over seeds.
        """

    def measuring(self, total: int) -> None:
        """Measuring begins.

        Args:
            total: Number of cells to measure.
        """

    def cell(self, measurement: str, step: int | None) -> None:
        """One more cell is done.

        Args:
            measurement: The row's id.
            step: The checkpoint's step; None where a row runs once.
        """


def run(
    prepared: Prepared,
    progress: Progress | None = None,
    *,
    debug: bool = False,
    tracking: Tracking | None = None,
) -> Study:
    """Train, unless the checkpoints are published ones, and measure.

    Whatever an earlier run has done is not done again, unless what it was measured of
    has changed since. Each checkpoint and each cell is whole on disk before the next,
    so that a run can be stopped at any time and goes on where it was. If training
    diverges, the checkpoints before that are measured all the same, and the error is
    raised after.

    Args:
        prepared: The study.
        progress: Who watches; nobody if None.
        debug: Raise what a measurement fails of, in place of recording it in its cell.
        tracking: Where numbers go besides, held open by the caller, who has a report
            to give it; if None, what the study names, until the run ends.

    Returns:
        The run's folder, opened; its `open()` gives the results.

    Raises:
        StudyError: the folder holds a run of another config.
        FolderLocked: another process is writing to the folder.
        TrainingDiverged: a loss was not finite.
        CheckpointError: a file is damaged.
        OSError: the folder cannot be written.
    """
    study = Study(prepared.config.folder)
    own = Tracking(prepared) if tracking is None else contextlib.nullcontext(tracking)
    with study.lock(), own as feed:
        study.begin(prepared, provenance())
        sitting = Sitting(study, provenance())
        try:
            diverged = _work(prepared, study, sitting, progress, feed, debug)
        except BaseException:
            # Whatever ends it, Ctrl-C included: its times count, and it is not whole.
            # If that cannot be written, the error that stopped the run is still told.
            with contextlib.suppress(OSError, StudyError):
                sitting.save("stopped")
            raise
        if diverged is not None:
            where = {str(diverged.seed): diverged.step}
            sitting.save("diverged", diverged=where)
            raise diverged
        sitting.save("complete")
    return study


def _work(
    prepared: Prepared,
    study: Study,
    sitting: Sitting,
    progress: Progress | None,
    tracking: Tracking,
    debug: bool,
) -> TrainingDiverged | None:
    """Train and measure; returns why training stopped, if it did."""

    def on_step(step: int, loss: float) -> None:
        sitting.trained()
        if progress is not None:
            progress.training(step, loss)

    def on_cell(measurement: str, step: int | None) -> None:
        sitting.cell()
        tracking.cell(measurement, step)
        if progress is not None:
            progress.cell(measurement, step)

    trajectories, diverged = prepared.source.trajectories(
        prepared.model, prepared.task, study.training_folder, on_step
    )
    sitting.measuring()
    work = Work(prepared, study, trajectories)
    if progress is not None:
        progress.measuring(len(work.missing))
    tracking.begin(work)
    try:
        measure_missing(work, on_cell=on_cell, on_chunk=tracking.flush, debug=debug)
    finally:
        # A run that is stopped within a chunk has written cells since the last one.
        tracking.flush()
    return diverged
