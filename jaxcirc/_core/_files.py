"""Files that are either whole or absent, on a local disk or an object store."""

import contextlib
import os
import re
import uuid

import fsspec

_UNFINISHED = re.compile(r"\.[0-9a-f]{8}\.tmp$")


def write_atomically(path: str, data: bytes | memoryview) -> None:
    """Write bytes to a path so that a reader never sees half of them.

    The bytes go to a temporary name in the same folder and are renamed once they are
    all there. On a local disk they are on it when the function returns.

    Args:
        path: Anything that fsspec opens.
        data: The whole contents.

    Raises:
        OSError: the disk is full or not writable. Nothing is left behind, and what
            `path` held before is untouched.
    """
    fs, target = fsspec.core.url_to_fs(path)
    temporary = f"{target}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with fs.open(temporary, "wb") as file:
            file.write(data)
            if is_local(fs):
                # Without it a power cut could keep the rename and lose the bytes.
                file.flush()
                os.fsync(file.fileno())
        if is_local(fs):
            os.replace(temporary, target)
        else:
            fs.mv(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            fs.rm_file(temporary)
        raise OSError(
            error.errno,
            f"cannot write {path}: {error.strerror or error}. Everything saved before "
            "is intact; make room or choose another folder, then run again",
        ) from error
    except BaseException:
        # Ctrl-C or a signal in the middle of a write leaves nothing half-written.
        with contextlib.suppress(OSError):
            fs.rm_file(temporary)
        raise


def unfinished_files(folder: str) -> list[str]:
    """Paths below a folder that killed writes have left; nobody may be writing."""
    fs, root = fsspec.core.url_to_fs(folder)
    if not fs.isdir(root):
        return []
    return [path for path in sorted(fs.find(root)) if _UNFINISHED.search(path)]


def remove_unfinished(folder: str) -> list[str]:
    """Delete the files that `unfinished_files` names, and return their paths."""
    fs, _ = fsspec.core.url_to_fs(folder)
    found = unfinished_files(folder)
    for path in found:
        fs.rm_file(path)
    return found


def read_bytes(path: str, most: int = -1) -> bytes:
    """The contents of a file, local or anywhere that fsspec reaches.

    Args:
        path: The file.
        most: How many bytes to read; all of them if negative. For what may be anybody's
            file, one more than is reasonable tells whether it is larger, at no cost.

    Raises:
        FileNotFoundError: there is no such file; the message names it.
        OSError: it cannot be read; the message names it.
    """
    try:
        with fsspec.open(path, "rb") as file:
            return file.read(most)  # pyright: ignore
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing") from None
    except OSError as error:
        raise OSError(
            error.errno, f"cannot read {path}: {error.strerror or error}"
        ) from error


def create_folder(path: str) -> None:
    """Make a folder and its parents; one that is there already is left as it is.

    Raises:
        OSError: the folder cannot be made there.
    """
    fs, target = fsspec.core.url_to_fs(path)
    try:
        fs.makedirs(target, exist_ok=True)
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot create the folder {path}: {error.strerror or error}. "
            "Choose another with `out=FOLDER`",
        ) from error


def is_local(fs: fsspec.AbstractFileSystem) -> bool:
    """Whether a file system is this machine's own."""
    names = fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)
    return "file" in names
