"""A folder on this machine or anywhere that fsspec reaches."""

import posixpath

import fsspec

from ..._core import create_folder, read_bytes, write_atomically


class Folder:
    """Files by their names below one folder.

    Args:
        path: The folder, as fsspec takes it; it need not be there yet.
    """

    def __init__(self, path: str):
        self.path = path.rstrip("/")
        self._fs, self._root = fsspec.core.url_to_fs(self.path)

    def join(self, name: str) -> str:
        """The path of a file, as fsspec takes it."""
        return posixpath.join(self.path, name)

    def exists(self, name: str) -> bool:
        """Whether there is such a file or folder."""
        return self._fs.exists(self._inner(name))

    def names(self, name: str = "") -> list[str]:
        """What lies in a folder, sorted; nothing if the folder is not there."""
        inner = self._inner(name)
        if not self._fs.isdir(inner):
            return []
        found = self._fs.ls(inner, detail=False)
        return sorted(posixpath.basename(path) for path in found)

    def create(self, name: str = "") -> None:
        """Make a folder, unless it is there."""
        create_folder(self.join(name))

    def read(self, name: str) -> bytes:
        """The contents of a file.

        Raises:
            OSError: it cannot be read.
        """
        return read_bytes(self.join(name))

    def write(self, name: str, data: bytes) -> None:
        """Replace a file in one step, so that a kill leaves the old or the new one.

        Raises:
            OSError: it cannot be written.
        """
        write_atomically(self.join(name), data)

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        if self.exists(name):
            self._fs.rm_file(self._inner(name))

    def _inner(self, name: str) -> str:
        return posixpath.join(self._root, name) if name else self._root
