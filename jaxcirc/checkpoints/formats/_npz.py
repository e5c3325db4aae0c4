"""NumPy archives, one array at a time and without objects."""

import io
import math
import os
import zipfile

import ml_dtypes
import numpy as np
from numpy.lib import format as npy

from ._tensors import Entry, Tensors, is_shape, reading, some_readable, unreadable
from ._zip import open_zip

# NumPy's own limit. It reads as many bytes as a header says it has before it looks.
_MAX_HEADER = 10_000
_READERS = {
    (1, 0): (2, npy.read_array_header_1_0),
    (2, 0): (4, npy.read_array_header_2_0),
}


def open_npz(path: str) -> Tensors:
    """The arrays of a `.npz`, by name.

    Text, complex numbers and Python objects, which would have to be unpickled, are
    errors when they are asked for. bfloat16 comes back, though NumPy calls it void.

    Args:
        path: The file.

    Returns:
        A mapping from names to arrays, each read when it is asked for.

    Raises:
        CheckpointError: the file is damaged or holds no array of numbers.
        FileNotFoundError: there is none.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> from jaxcirc.checkpoints.formats import open_npz
        >>> path = str(pathlib.Path(tempfile.mkdtemp(), "weights.npz"))
        >>> np.savez(path, W_E=np.zeros((5, 2), np.float32))
        >>> open_npz(path).shapes
        {'W_E': (5, 2)}
    """
    name = os.path.basename(path)
    with reading(name), open_zip(path, name) as archive:
        entries = {
            info.filename.removesuffix(".npy"): _entry(path, archive, info)
            for info in archive.infolist()
        }
    return some_readable(name, entries)


def _entry(path: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    """An array of the archive, or why it cannot be read."""
    try:
        shape, fortran, dtype, start = _header(archive, info)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        return unreadable(f"is no array, or damaged: {str(error)[:200]}")
    if dtype.subdtype is None and dtype.names is None and dtype.str[1:] == "V2":
        # The one number of two bytes that NumPy has no name for.
        dtype = np.dtype(ml_dtypes.bfloat16)
    elif dtype.hasobject or dtype.kind not in "biuf":
        kind = str(dtype)[:40]
        return unreadable(f"is of type {kind}; only numbers are read", shape)
    length = math.prod(shape) * dtype.itemsize
    # A header may promise more than there is, and be believed by an allocation.
    if info.file_size - start != length:
        return unreadable(f"of shape {shape} is cut short; the file is damaged", shape)

    def read() -> np.ndarray:
        with zipfile.ZipFile(path) as archive, archive.open(info) as file:
            file.read(start)
            data = np.frombuffer(file.read(length), dtype)
            # Reading to the end makes the library compare the checksum.
            file.read(1)
        array = data.reshape(shape, order="F" if fortran else "C")
        return array.astype(dtype.newbyteorder("="), copy=False)

    return Entry(shape, dtype.newbyteorder("="), read)


def _header(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, whether columns come first, type, and where the numbers begin.

    Raises:
        ValueError: this is no array, or its header no honest one.
    """
    with archive.open(info) as file:
        version = npy.read_magic(file)
        if version not in _READERS:
            raise ValueError(f"version {version} is not read")
        width, read = _READERS[version]
        prefix = file.read(width)
        length = int.from_bytes(prefix, "little")
        if length > _MAX_HEADER:
            raise ValueError(f"a header of {length:,} bytes")
        shape, fortran, dtype = _parsed(read, prefix + file.read(length))
    if not is_shape(shape):
        raise ValueError("its shape is not of whole numbers")
    return tuple(shape), fortran, dtype, npy.MAGIC_LEN + width + length


def _parsed(read, header: bytes):
    """What NumPy's parser makes of a header.

    Raises:
        ValueError: the header cannot be parsed.
    """
    try:
        return read(io.BytesIO(header))
    except ValueError:
        raise
    except Exception as error:
        # Literals of Python, which its parser gives up on in several ways.
        raise ValueError(type(error).__name__) from error
