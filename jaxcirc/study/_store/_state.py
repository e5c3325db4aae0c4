"""Where a measurement that goes along the run has come to, kept between sittings."""

import contextlib

from jaxtyping import PyTree

from ...checkpoints import (
    CheckpointError,
    check_tensors,
    load_tensors,
    recorded_entry,
    save_tensors,
)
from ._folder import Folder


class SavedState:
    """The file of a state.

    Args:
        folder: Of the run.
        name: The file, below it.
    """

    def __init__(self, folder: Folder, name: str):
        self._folder, self.file = folder, name

    @property
    def exists(self) -> bool:
        """Whether a state is saved."""
        return self._folder.exists(self.file)

    @property
    def basis(self) -> str | None:
        """The basis of the last cell that the saved state has seen, if there is one.

        A file that is damaged counts as none: the state is then made again.
        """
        path = self._folder.join(self.file)
        with contextlib.suppress(CheckpointError):
            check_tensors(path)
            return recorded_entry(path, "basis")
        return None

    def write(self, basis: str, state: PyTree) -> None:
        """Save a state.

        Args:
            basis: Of the last cell that it has seen.
            state: Arrays.

        Raises:
            OSError: the disk is full or not writable.
        """
        save_tensors(self._folder.join(self.file), state, {"basis": basis})

    def read(self, like: PyTree) -> PyTree:
        """The saved state.

        Args:
            like: A pytree of its structure, of arrays or shapes.

        Raises:
            CheckpointError: it is missing, damaged, or of another shape.
        """
        return load_tensors(self._folder.join(self.file), like)
