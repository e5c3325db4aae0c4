"""A run's folder as users and the runner see it."""

import contextlib
from typing import Any

import xarray as xr
import yaml
from jaxtyping import PyTree

from ..._core import is_locked, lock_folder, remove_unfinished
from .._config import Prepared
from ._claims import FORMAT, check_identity, claim_rows
from ._folder import Folder
from ._names import CELLS, RUN_FILE, STUDY_FILE, TRAINING, Place
from ._open import open_run
from ._record import add_to_run, read_run
from ._row import RowFolder


class Study:
    """A run's folder, local or anywhere that fsspec reaches.

    Args:
        path: The folder.
    """

    def __init__(self, path: str):
        self.folder = Folder(path)
        self.path = self.folder.path

    def __repr__(self) -> str:
        return f"Study({self.path!r})"

    @property
    def training_folder(self) -> str:
        """Where checkpoints and losses are."""
        return self.folder.join(TRAINING)

    @property
    def rows(self) -> list[str]:
        """Ids of the rows that have a folder, whether the study still asks for them."""
        return self.folder.names(CELLS)

    def row(self, row: str) -> RowFolder:
        """The cells of one row.

        Args:
            row: Its id; it need not have cells yet.
        """
        return RowFolder(self.folder, row)

    def open(self) -> xr.DataTree:
        """All results: a node per measurement, and `training` with every loss, if any.

        Axes are `step`, `seed` and those of the measurement. The root's attributes, in
        JSON, say where the numbers come from: `study`, `identity`, `provenance`,
        `timing`, `task`, the `status` of the run, its `sittings`, and what each row has
        `mixed`, such as cells of several versions. Attributes of a node say which steps
        have `failed` and which checkpoints are `non_finite`.

        Cells of checkpoints that are no longer there, or that have changed since, are
        left out. Every file is compared with its checksum now, but arrays that are
        large in each cell are read again only where they are used.

        Raises:
            StudyError: the folder holds no run, or its record is damaged.
            CheckpointError: a file is damaged.
        """
        return open_run(self.folder)

    def artefact(
        self, row: str, step: Place, name: str, like: PyTree | None = None
    ) -> PyTree:
        """An artefact of a cell, such as a mask; see `RowFolder.artefact`.

        Args:
            row: The row's id.
            step: Where; None of a row that runs once.
            name: Which of the cell's artefacts.
            like: A pytree of its structure; if None, arrays come in a dict.

        Raises:
            ValueError: the cell has no such artefact; the message names what it has.
            CheckpointError: the cell or the artefact is not what was written.
        """
        return self.row(row).artefact(step, name, like)

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the folder for writing while a `with` block runs.

        Raises:
            FolderLocked: another process is writing to it.
            OSError: it cannot be written.
        """
        self.folder.create()
        return lock_folder(self.path, who="jaxcirc")

    def is_locked(self) -> bool:
        """Whether somebody is writing to the folder."""
        return is_locked(self.path)

    def begin(self, prepared: Prepared, provenance: dict[str, Any]) -> None:
        """Claim the folder for a study, or find that it is already this study's.

        What killed writes have left is removed, so nobody else may be writing.

        Args:
            prepared: The study.
            provenance: Versions and machine of this sitting.

        Raises:
            StudyError: it holds a run of another task, model or training, or a
                measurement under the same id with other options; or its record is
                damaged.
            OSError: it cannot be written.
        """
        identity = prepared.identity()
        found = self.read_run() if self.folder.exists(RUN_FILE) else {}
        check_identity(self.folder, found.get("identity", identity), identity)
        self.folder.create()
        remove_unfinished(self.path)
        claim_rows(self.folder, prepared.in_order)
        written = prepared.config.model_dump(exclude_defaults=True)
        config = yaml.safe_dump(written, sort_keys=False, allow_unicode=True)
        self.folder.write(STUDY_FILE, config.encode())
        self.record(
            {
                "format": FORMAT,
                "identity": identity,
                # A run in several sittings keeps the record of its first.
                "provenance": found.get("provenance", provenance),
                "study": written,
                "task": prepared.task.describe(),
                "rows": {row.id: list(row.places) for row in prepared.measurements},
                "steps": list(prepared.source.checkpoint_steps),
            }
        )

    def record(self, entries: dict[str, Any]) -> None:
        """Add to `run.json`."""
        add_to_run(self.folder, entries)

    def read_run(self) -> dict[str, Any]:
        """The contents of `run.json`.

        Raises:
            StudyError: the folder holds no run, or its record is damaged.
        """
        return read_run(self.folder)
