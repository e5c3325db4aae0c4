"""One writer per folder."""

import contextlib
import json
import os
import posixpath
import socket
from collections.abc import Iterator

import filelock
import fsspec

from ._files import is_local, write_atomically

NAME = "run.lock"


class FolderLocked(ValueError):
    """Another process is writing to the folder."""


@contextlib.contextmanager
def lock_folder(folder: str, *, who: str) -> Iterator[None]:
    """Hold a folder for writing; whoever wants it too is told, and does not wait.

    On a local disk the operating system holds the lock, so it ends with its process,
    however that ends. An object store has no such thing: there the lock is a file with
    the name of its host and process, which is taken over where that process is known
    to be gone.

    Args:
        folder: An existing folder, local or anywhere that fsspec reaches.
        who: Names the caller in messages.

    Raises:
        FolderLocked: another process, or another call in this one, holds it.
    """
    fs, root = fsspec.core.url_to_fs(folder)
    held = _on_disk(root, folder, who) if is_local(fs) else _stored(fs, folder, who)
    with held:
        yield


def is_locked(folder: str) -> bool:
    """Whether another process or call is writing to a folder.

    False where that cannot be found out, as in a folder that one can only read.
    """
    fs, root = fsspec.core.url_to_fs(folder)
    if not fs.exists(posixpath.join(root, NAME)):
        return False
    try:
        with lock_folder(folder, who="is_locked"):
            return False
    except FolderLocked:
        return True
    except OSError:
        # A folder that one can only read; whoever could write to it is not known.
        return False


@contextlib.contextmanager
def _on_disk(root: str, folder: str, who: str) -> Iterator[None]:
    """Hold a lock of the operating system while the `with` block runs.

    Raises:
        FolderLocked: another process, or another call in this one, holds it.
    """
    path = os.path.join(root, NAME)
    held = filelock.FileLock(path, timeout=0, is_singleton=False)
    try:
        held.acquire()
    except filelock.Timeout as error:
        raise FolderLocked(_taken(who, folder, _owner(f"{path}.json"))) from error
    try:
        # Beside the lock: who waits for the lock itself empties its file.
        write_atomically(f"{path}.json", json.dumps(_me()).encode())
        yield
    finally:
        # The lock's own file stays: removed, a third process could lock a new one while
        # a second still opens the old.
        with contextlib.suppress(OSError):
            os.remove(f"{path}.json")
        held.release()


@contextlib.contextmanager
def _stored(fs: fsspec.AbstractFileSystem, folder: str, who: str) -> Iterator[None]:
    """Hold a file that names this process while the `with` block runs.

    Raises:
        FolderLocked: the file names a process that is not known to be gone.
    """
    path = posixpath.join(folder, NAME)
    _, inner = fsspec.core.url_to_fs(path)
    if fs.exists(inner):
        owner = _owner(path)
        if not _is_gone(owner):
            left = f" If it has ended, delete {path}."
            raise FolderLocked(_taken(who, folder, owner) + left)
    write_atomically(path, json.dumps(_me()).encode())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fs.rm_file(inner)


def _me() -> dict[str, object]:
    """The host and the process that take a lock."""
    return {"host": socket.gethostname(), "process": os.getpid()}


def _owner(path: str) -> dict:
    """The host and the process that hold a lock, as far as its file says."""
    try:
        with fsspec.open(path, "rb") as file:
            owner = json.loads(file.read())  # pyright: ignore
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _is_gone(owner: dict) -> bool:
    """Whether the process that holds a stored lock has ended; only its host knows."""
    process = owner.get("process")
    if owner.get("host") != socket.gethostname() or not isinstance(process, int):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _taken(who: str, folder: str, owner: dict) -> str:
    """A message that says who holds a folder, and what to do."""
    known = f"process {owner.get('process')} on {owner.get('host')}"
    by = known if owner else "another process"
    return (
        f"{who}: {folder} is being written by {by}. Wait for it to end, or write "
        "elsewhere with out=FOLDER."
    )
