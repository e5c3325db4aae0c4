"""Run a study: train, measure what has not been measured, and say how it went."""

import posixpath
import time
from typing import Protocol, runtime_checkable

from ..checkpoints import open_trajectory
from ..training import TrainingDiverged, train
from ._config import Prepared
from ._measure import measure_missing, missing_cells
from ._provenance import provenance
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
    """Train and measure; whatever an earlier run has done is not done again.

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
    diverged = None
    try:
        trajectories = train(
            prepared.model,
            prepared.task,
            prepared.training,
            study.training_folder,
            on_progress=None if progress is None else progress.training,
        )
    except TrainingDiverged as error:
        diverged = error
        first = prepared.training.seed
        names = [f"seed_{first + i}" for i in range(prepared.training.seeds)]
        trajectories = [
            open_trajectory(posixpath.join(study.training_folder, n)) for n in names
        ]
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


def _record_timing(study: Study, train: float, measure: float, cells: int) -> None:
    # A run in several sittings adds up.
    old = study.read_run().get("timing", {})
    new = {"training_s": train, "measuring_s": measure, "cells": cells}
    study.record({"timing": {k: round(old.get(k, 0) + v, 2) for k, v in new.items()}})
