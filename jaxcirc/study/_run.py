"""Run a study: train, measure what has not been measured, and say how it went."""

import posixpath
import time
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from ..checkpoints import Trajectory, open_trajectory
from ..training import TrainingDiverged, train
from ._config import Prepared
from ._measure import measure_missing, missing_cells
from ._provenance import provenance
from ._published import Published
from ._store import Study


@runtime_checkable
class Progress(Protocol):
    """What a run tells whoever watches it."""

    def training(self, step: int, loss: float) -> None:
        """Training has come to `step`."""

    def measuring(self, total: int) -> None:
        """`total` cells are to be measured."""

    def cell(self, measurement: str, step: int) -> None:
        """One more cell is done."""


def run(prepared: Prepared, progress: Progress | None = None) -> Study:
    """Train, unless the checkpoints are published ones, and measure.

    Whatever an earlier run has done is not done again.

    If training diverges, the checkpoints before that are measured all the same, and the
    error is raised after.

    Raises:
        StudyError: the folder holds a run of another config.
        TrainingDiverged: a loss was not finite.
        CheckpointError: a file is damaged.
        OSError: the folder cannot be written.
    """
    study = Study(prepared.config.folder)
    study.begin(prepared, provenance())
    study.record({"task": prepared.task.describe()})
    began = time.monotonic()
    trajectories, diverged = _checkpoints(prepared, study, progress)
    trained = time.monotonic()
    missing = missing_cells(prepared, study)
    if progress is not None:
        progress.measuring(len(missing))
    measure_missing(
        prepared,
        study,
        trajectories,
        on_cell=None if progress is None else progress.cell,
    )
    _record_timing(study, trained - began, time.monotonic() - trained, len(missing))
    if diverged is not None:
        raise diverged
    return study


def _checkpoints(
    prepared: Prepared, study: Study, progress: Progress | None
) -> tuple[Sequence[Trajectory], TrainingDiverged | None]:
    """The trajectories to measure, and why training stopped, if it did."""
    training = prepared.training
    if isinstance(training, Published):
        return training.trajectories, None
    try:
        trained = train(
            prepared.model,
            prepared.task,
            training,
            study.training_folder,
            on_progress=None if progress is None else progress.training,
        )
    except TrainingDiverged as error:
        names = [f"seed_{training.seed + i}" for i in range(training.seeds)]
        folders = [posixpath.join(study.training_folder, name) for name in names]
        return [open_trajectory(folder) for folder in folders], error
    return trained, None


def _record_timing(study: Study, train: float, measure: float, cells: int) -> None:
    # A run in several sittings adds up.
    old = study.read_run().get("timing", {})
    new = {"training_s": train, "measuring_s": measure, "cells": cells}
    study.record({"timing": {k: round(old.get(k, 0) + v, 2) for k, v in new.items()}})
