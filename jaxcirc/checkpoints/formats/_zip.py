"""Zip archives that somebody else has written, bounded before they are read."""

import os
import zipfile

from .._tensors import CheckpointError
from ._tensors import ordinary

# A member takes some ten times its line of the directory in memory: 160,000 arrays.
_MAX_DIRECTORY = 16_000_000
# Weights hardly shrink; what unfolds further than this is no checkpoint.
_MOST_UNFOLDED, _ALWAYS_ALLOWED = 100, 1 << 26
_TAIL = (1 << 16) + 22 + 20 + 56
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def open_zip(path: str, name: str) -> zipfile.ZipFile:
    """An archive whose members are neither too many nor too large for its file.

    Raises:
        CheckpointError: they are, or they lie over each other.
        zipfile.BadZipFile: it is no zip archive.
        OSError: the file cannot be read.
    """
    size = os.path.getsize(ordinary(path))
    if _directory_bytes(path, size) > _MAX_DIRECTORY:
        raise CheckpointError(f"{name} holds more members than any checkpoint does.")
    archive = zipfile.ZipFile(path)
    try:
        _check_members(archive, name, size)
    except BaseException:
        archive.close()
        raise
    return archive


def data_start(path: str, info: zipfile.ZipInfo) -> int:
    """Where in the file the bytes of a member begin."""
    with open(path, "rb") as file:
        file.seek(info.header_offset + 26)
        lengths = file.read(4)
    name, extra = lengths[:2], lengths[2:]
    fixed = info.header_offset + 30
    return fixed + int.from_bytes(name, "little") + int.from_bytes(extra, "little")


def _directory_bytes(path: str, size: int) -> int:
    """The length of the directory, by whichever of two ends an archive has."""
    with open(path, "rb") as file:
        file.seek(max(0, size - _TAIL))
        tail = file.read(_TAIL)
    end = tail.rfind(b"PK\5\6")
    large = tail.rfind(b"PK\6\6")
    found = [0]
    if end >= 0 and tail[end + 12 : end + 16] != b"\xff" * 4:
        found.append(int.from_bytes(tail[end + 12 : end + 16], "little"))
    if large >= 0:
        found.append(int.from_bytes(tail[large + 40 : large + 48], "little"))
    # A directory outside the file is left to the library, which refuses it.
    return max(n if n <= size else 0 for n in found)


def _check_members(archive: zipfile.ZipFile, name: str, size: int) -> None:
    members = archive.infolist()
    if len({member.filename for member in members}) < len(members):
        raise CheckpointError(f"{name} holds two members of one name; it is damaged.")
    if any(member.compress_type not in _METHODS for member in members):
        raise CheckpointError(f"{name} is compressed in a way that is not read here.")
    folded = sum(member.compress_size for member in members)
    unfolded = sum(member.file_size for member in members)
    if folded > size:
        raise CheckpointError(
            f"{name}: its members lie over each other; it is damaged."
        )
    if unfolded > _MOST_UNFOLDED * size + _ALWAYS_ALLOWED:
        raise CheckpointError(
            f"{name} of {size:,} bytes would become {unfolded:,}, as no checkpoint "
            "does. It was not read."
        )
