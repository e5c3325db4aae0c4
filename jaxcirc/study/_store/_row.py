"""The folder of one measurement: its cells, and artefacts beside them."""

import contextlib
import json
from collections.abc import Iterator, Mapping

import xarray as xr
from jaxtyping import PyTree

from ..._core import digest_of, unknown
from ...checkpoints import (
    CheckpointError,
    load_arrays,
    load_tensors,
    recorded_hashes,
    save_tensors,
)
from . import _cell
from ._folder import Folder
from ._names import ARTEFACT, CELL, CELLS, FAILED, STATE, Place, place_of, stem
from ._state import SavedState


class RowFolder:
    """What a row of a study has given so far.

    A cell is one file for each step. It is the commit: artefacts are written before it,
    and it holds their hashes.

    Args:
        folder: Of the run.
        row: The row's id.
    """

    def __init__(self, folder: Folder, row: str):
        self.id = row
        self._run = folder
        self._below = f"{CELLS}/{row}"

    @property
    def steps(self) -> set[Place]:
        """Steps at which it has been measured; None of a row that runs once."""
        return self._places(CELL)

    @property
    def failed_steps(self) -> set[Place]:
        """Steps at which it was tried and gave no number; the next run tries again."""
        return self._places(FAILED)

    @property
    def state(self) -> SavedState:
        """Where a row that goes along the run has come to."""
        return SavedState(self._run, f"{self._below}/{STATE}{ARTEFACT}")

    def write(
        self,
        step: Place,
        cell: xr.Dataset,
        artefacts: Mapping[str, PyTree] | None = None,
    ) -> None:
        """Save what the row gave at a step, or why it gave nothing.

        Args:
            step: Where; None of a row that runs once.
            cell: What it gave.
            artefacts: Arrays to keep beside it, by name.

        Raises:
            OSError: the disk is full or not writable.
        """
        hashes = {
            name: digest_of(save_tensors(self._artefact(step, name), tree))
            for name, tree in (artefacts or {}).items()
        }
        if hashes:
            cell = cell.assign_attrs(artefacts=json.dumps(hashes))
        failed = not cell.data_vars
        self._run.write(self.file(step, failed=failed), _cell.pack(cell))
        if not failed:
            self._run.remove(self.file(step, failed=True))

    def remove(self, step: Place) -> None:
        """Delete what there is of a step, artefacts last."""
        cells = [self.file(step), self.file(step, failed=True)]
        for name in (*cells, *self.artefact_files(step).values()):
            self._run.remove(name)

    def read(self, step: Place, *, failed: bool = False) -> xr.Dataset:
        """What the row gave at a step.

        Args:
            step: Where; None of a row that runs once.
            failed: Read the cell that says why there is no number.

        Raises:
            CheckpointError: the file is missing, or not what was written.
        """
        name = self.file(step, failed=failed)
        with self.blaming(name):
            return _cell.unpack(self._run.read(name))

    def basis(self, step: Place) -> str | None:
        """What a cell says that it was measured of; None of one of an older format.

        Raises:
            CheckpointError: the file is not what was written.
        """
        name = self.file(step)
        with self.blaming(name):
            return _cell.own_attributes(self._run.read(name)).get("basis")

    def artefact(self, step: Place, name: str, like: PyTree | None = None) -> PyTree:
        """An artefact of a cell.

        Args:
            step: Where; None of a row that runs once.
            name: Which of the cell's artefacts.
            like: A pytree of its structure, of arrays or shapes; if None, the arrays
                come as a dict, by their names in the pytree.

        Raises:
            ValueError: the cell has no such artefact; the message names what it has.
            CheckpointError: the cell or the artefact is not what was written.
        """
        hashes = json.loads(self.read(step).attrs.get("artefacts", "{}"))
        if name not in hashes:
            what = f"artefact of {self.id!r}"
            raise ValueError(f"{self._run.path}: {unknown(what, name, hashes)}")
        path = self._artefact(step, name)
        with self.blaming(self.file(step)):
            if digest_of(recorded_hashes(path)) != hashes[name]:
                raise ValueError(f"its artefact {name!r} is not the one it was with")
        return load_arrays(path) if like is None else load_tensors(path, like)

    def artefact_files(self, step: Place) -> dict[str, str]:
        """Artefact -> file of those that lie beside a cell, below the run's folder."""
        start = f"{stem(step)}."
        found = [n for n in self._tensor_files() if n.startswith(start)]
        own = {n.removeprefix(start).removesuffix(ARTEFACT): n for n in found}
        return {name: f"{self._below}/{file}" for name, file in own.items()}

    def stray_artefacts(self, places: set[Place]) -> list[str]:
        """Artefacts of killed writes, without a cell, by their files below the run.

        Args:
            places: Where the row has cells.
        """
        stems = {stem(place) for place in places} | {STATE}
        strays = [n for n in self._tensor_files() if n.partition(".")[0] not in stems]
        return [f"{self._below}/{name}" for name in strays]

    def file(self, step: Place, *, failed: bool = False) -> str:
        """Where a cell is, below the run's folder."""
        return f"{self._below}/{stem(step)}{FAILED if failed else CELL}"

    @contextlib.contextmanager
    def blaming(self, name: str) -> Iterator[None]:
        """Say of a file that cannot be read what to do about it.

        Raises:
            CheckpointError: in place of an OSError or ValueError.
        """
        try:
            yield
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"cell {self._run.join(name)} is damaged: {error}. Delete it and run "
                "the study again; only this cell is computed anew."
            ) from error

    def _places(self, ending: str) -> set[Place]:
        names = [n for n in self._run.names(self._below) if n.endswith(ending)]
        found = [place_of(name.removesuffix(ending)) for name in names]
        return {place for place, is_cell in found if is_cell}

    def _tensor_files(self) -> list[str]:
        return [n for n in self._run.names(self._below) if n.endswith(ARTEFACT)]

    def _artefact(self, step: Place, name: str) -> str:
        return self._run.join(f"{self._below}/{stem(step)}.{name}{ARTEFACT}")
