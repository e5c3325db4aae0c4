"""Files that are either whole or absent, on a local disk or an object store."""

import contextlib
import os
import uuid

import fsspec


def write_atomically(path: str, data: bytes | memoryview) -> None:
    """Write `data` to `path` so that a reader never sees half of it.

    The bytes go to a temporary name in the same folder and are renamed once they are
    all there. `path` may be anything that fsspec opens.

    Raises:
        OSError: the disk is full or not writable. Nothing is left behind, and what
            `path` held before is untouched.
    """
    fs, target = fsspec.core.url_to_fs(path)
    temporary = f"{target}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        with fs.open(temporary, "wb") as file:
            file.write(data)
            if _is_local(fs):
                # Without it a power cut could keep the rename and lose the bytes.
                file.flush()
                os.fsync(file.fileno())
        if _is_local(fs):
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


def create_folder(path: str) -> None:
    """Make the folder `path` and its parents; an existing one is fine.

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


def _is_local(fs: fsspec.AbstractFileSystem) -> bool:
    return (
        "file" in fs.protocol
        if isinstance(fs.protocol, tuple)
        else (fs.protocol == "file")
    )
