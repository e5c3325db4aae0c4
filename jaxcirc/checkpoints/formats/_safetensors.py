"""safetensors files, mapped into memory one tensor at a time.

A mapped page counts as memory of the process for as long as it is mapped, so that a
file mapped whole would take its size once more; and the library's own NumPy reader
does not know bfloat16.
"""

import itertools
import math
import os
from typing import Any

import numpy as np

from .._tensors import CheckpointError
from ._json import parse_json
from ._tensors import (
    DTYPES,
    Entry,
    Tensors,
    is_shape,
    ordinary,
    reading,
    some_readable,
    unreadable,
)

# The format's own limit, which keeps a damaged length from being allocated.
_MAX_HEADER = 100_000_000


def open_safetensors(path: str) -> Tensors:
    """The tensors of a safetensors file, by name.

    The header is checked against the size of the file before any tensor is read: every
    tensor must lie inside, and none over another. A tensor of a type that is not read
    here is an error when it is asked for; the others are not touched by it.

    Args:
        path: The file.

    Returns:
        A mapping from names to arrays, each mapped into memory when it is asked for.

    Raises:
        CheckpointError: the file is cut short or damaged.
        FileNotFoundError: there is none.

    Example:
        >>> import pathlib, tempfile
        >>> import numpy as np
        >>> from safetensors.numpy import save_file
        >>> from jaxcirc.checkpoints.formats import open_safetensors
        >>> path = str(pathlib.Path(tempfile.mkdtemp(), "model.safetensors"))
        >>> save_file({"wte": np.ones((5, 2), np.float32)}, path)
        >>> float(open_safetensors(path)["wte"].sum())
        10.0
    """
    name = os.path.basename(path)
    with reading(name), open(ordinary(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _MAX_HEADER):
            raise CheckpointError(
                f"{name} is cut short or no safetensors file: a header of {length:,} "
                f"bytes in a file of {size:,}. Download or copy it again."
            )
        header = parse_json(file.read(length), name)
        header.pop("__metadata__", None)
        start = 8 + length
        _check_places(name, header, size - start)
        entries = {
            key: _entry(path, name, key, value, start) for key, value in header.items()
        }
    return some_readable(name, entries)


def _check_places(name: str, header: dict[str, Any], size: int) -> None:
    """Every tensor lies in the file and none over another.

    Bytes that serve many tensors would make a small file a large model.

    Raises:
        CheckpointError: a tensor lies nowhere, outside, or over another.
    """
    places: list[tuple[int, int, str]] = []
    for key, value in header.items():
        place = value.get("data_offsets") if isinstance(value, dict) else None
        if not (is_shape(place) and len(place) == 2 and place[0] <= place[1]):
            raise CheckpointError(
                f"{name}: tensor {key!r} lies nowhere. The file is damaged."
            )
        places.append((place[0], place[1], key))
    places.sort()
    for (_, end, one), (begin, _, other) in itertools.pairwise(places):
        if begin < end:
            raise CheckpointError(
                f"{name}: tensors {one!r} and {other!r} lie over each other. The file "
                "is damaged."
            )
    _, end, key = max(places, key=lambda place: place[1], default=(0, 0, ""))
    if end > size:
        raise CheckpointError(
            f"{name} is cut short: tensor {key!r} ends at byte {end:,} of "
            f"{size:,}. Download or copy it again."
        )


def _entry(path: str, name: str, key: str, value: dict[str, Any], start: int) -> Entry:
    """A tensor of the file, or why it cannot be read.

    Raises:
        CheckpointError: the tensor's shape does not fit the bytes that it has.
    """
    shape = value.get("shape")
    begin, end = value["data_offsets"]
    if not is_shape(shape):
        raise CheckpointError(
            f"{name}: tensor {key!r} has no shape of whole numbers. The file is "
            "damaged."
        )
    shape = tuple(shape)
    kind = value.get("dtype")
    dtype = DTYPES.get(kind) if isinstance(kind, str) else None
    if dtype is None:
        # Others of the file may be all that is asked for.
        return unreadable(
            f"is of type {str(kind)[:20]}, which is not read here; known are "
            f"{', '.join(DTYPES)}",
            shape,
        )
    if end - begin != math.prod(shape) * dtype.itemsize:
        raise CheckpointError(
            f"{name}: tensor {key!r} of shape {shape} cannot lie at bytes "
            f"{begin:,} to {end:,}. The file is damaged."
        )

    def read() -> np.ndarray:
        if begin == end:
            return np.empty(shape, dtype)
        data = np.memmap(path, np.uint8, "r", start + begin, (end - begin,))
        return np.asarray(data).view(dtype).reshape(shape)

    return Entry(shape, dtype, read)
