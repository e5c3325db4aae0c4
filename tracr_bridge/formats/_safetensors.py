"""safetensors files, mapped into memory one tensor at a time.

A mapped page counts as memory of the process for as long as it is mapped, so that a
file mapped whole would take its size once more; and the library's own NumPy reader
does not know bfloat16.
"""

import json
import math
import os

import numpy as np

from jaxcirc.checkpoints import CheckpointError

from ._tensors import DTYPES, Entry, Tensors, reading

# The format's own limit, which keeps a damaged length from being allocated.
_MAX_HEADER = 100_000_000


def open_safetensors(path: str) -> Tensors:
    """The tensors of a file; its header is checked against its size before any is read.

    Raises:
        CheckpointError: the file is cut short or damaged.
        FileNotFoundError: there is none.
    """
    name = os.path.basename(path)
    with reading(name), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _MAX_HEADER):
            raise CheckpointError(
                f"{name} is cut short or no safetensors file: a header of {length:,} "
                f"bytes in a file of {size:,}. Download or copy it again."
            )
        header = json.loads(file.read(length))
        start = 8 + length
        header.pop("__metadata__", None)
        entries = {
            key: _entry(path, name, key, value, start, size)
            for key, value in header.items()
        }
    return Tensors(name, entries)


def _entry(path: str, name: str, key: str, value: dict, start: int, size: int) -> Entry:
    dtype = DTYPES.get(value["dtype"])
    if dtype is None:
        raise CheckpointError(
            f"{name}: tensor {key!r} is of type {value['dtype']}, which is not read "
            f"here; known are {', '.join(DTYPES)}."
        )
    shape = tuple(int(n) for n in value["shape"])
    begin, end = (int(n) for n in value["data_offsets"])
    wanted = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or begin < 0 or end - begin != wanted:
        raise CheckpointError(
            f"{name}: tensor {key!r} of shape {shape} cannot lie at bytes "
            f"{begin:,} to {end:,}. The file is damaged."
        )
    if start + end > size:
        raise CheckpointError(
            f"{name} is cut short: tensor {key!r} ends at byte {start + end:,} of "
            f"{size:,}. Download or copy it again."
        )

    def read() -> np.ndarray:
        if not wanted:
            return np.empty(shape, dtype)
        data = np.memmap(path, np.uint8, "r", start + begin, (wanted,))
        return np.asarray(data).view(dtype).reshape(shape)

    return Entry(shape, dtype, read)
