"""Short names for what files hold, and for what they look like from outside."""

import glob
import hashlib
import os
from collections.abc import Sequence

from jaxcirc._core import digest_of
from jaxcirc.checkpoints import CheckpointError

_READ = ("*.json", "*.safetensors", "*.bin")


def folder_files(folder: str) -> list[str]:
    """The files of a checkpoint folder that decide its weights."""
    found = [path for kind in _READ for path in glob.glob(_inside(folder, kind))]
    return sorted(path for path in found if os.path.isfile(path))


def contents(files: Sequence[str]) -> str:
    """A hash of the names and the bytes of some files.

    Raises:
        CheckpointError: there are none, or one cannot be read.
    """
    if not files:
        raise CheckpointError("there are no files of a checkpoint")
    return digest_of([[os.path.basename(path), _digest(path)] for path in files])


def looks(files: Sequence[str]) -> str:
    """A name that changes when a file is written again; nothing is read for it.

    Raises:
        CheckpointError: a file is not there.
    """
    try:
        told = [(path, os.stat(path)) for path in files]
    except OSError as error:
        raise CheckpointError(f"{error.filename}: {error.strerror}") from error
    # Names without folders: a run that is moved is the same run.
    return digest_of([[os.path.basename(p), s.st_size, s.st_mtime_ns] for p, s in told])


def _digest(path: str) -> str:
    """A hash of a file's bytes.

    Raises:
        CheckpointError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from error


def _inside(folder: str, pattern: str) -> str:
    """A pattern of files in a folder, whatever letters its name has."""
    return os.path.join(glob.escape(folder), pattern)
