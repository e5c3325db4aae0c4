"""NumPy archives, one array at a time and without objects."""

import math
import os
import zipfile

import numpy as np
from numpy.lib import format as npy

from jaxcirc.checkpoints import CheckpointError

from ._tensors import Entry, Tensors, reading


def open_npz(path: str) -> Tensors:
    """The arrays of a `.npz`, by name.

    Raises:
        CheckpointError: the file is damaged, or holds an array of Python objects, which
            would have to be unpickled.
        FileNotFoundError: there is none.
    """
    name = os.path.basename(path)
    entries = {}
    with reading(name), zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            key = info.filename.removesuffix(".npy")
            entries[key] = _entry(path, name, key, archive, info)
    return Tensors(name, entries)


def _entry(
    path: str, name: str, key: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> Entry:
    with archive.open(info) as file:
        version = npy.read_magic(file)
        readers = {
            (1, 0): npy.read_array_header_1_0,
            (2, 0): npy.read_array_header_2_0,
        }
        if version not in readers:
            raise CheckpointError(f"{name}: array {key!r} has version {version}.")
        shape, fortran, dtype = readers[version](file)
        start = file.tell()
    if dtype.hasobject or dtype.kind not in "biuf":
        raise CheckpointError(
            f"{name}: array {key!r} is of type {dtype}; only numbers are read. It was "
            "not loaded."
        )
    if info.file_size - start != math.prod(shape) * dtype.itemsize:
        raise CheckpointError(
            f"{name}: array {key!r} of shape {shape} is cut short. The file is damaged."
        )

    def read() -> np.ndarray:
        with zipfile.ZipFile(path) as archive:
            data = np.frombuffer(archive.read(info), dtype, offset=start)
        return data.reshape(shape, order="F" if fortran else "C")

    return Entry(tuple(shape), dtype, read)
