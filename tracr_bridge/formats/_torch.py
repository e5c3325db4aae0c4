"""Files of `torch.save` (`.pt`, `.pth`, `.bin`), read without PyTorch."""

import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
from numpy.lib.stride_tricks import as_strided

from jaxcirc.checkpoints import CheckpointError

from ._pickled import TensorRecord, read_pickled
from ._tensors import Entry, Tensors, reading

_STORAGES = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype(np.int64),
    "IntStorage": np.dtype(np.int32),
    "ShortStorage": np.dtype(np.int16),
    "CharStorage": np.dtype(np.int8),
    "ByteStorage": np.dtype(np.uint8),
    "BoolStorage": np.dtype(np.bool_),
}
# Where training scripts keep the weights among other things.
_NESTS = ("state_dict", "model_state_dict", "model", "module")
_MAX_PICKLE = 256_000_000
_MAX_NODES = 2_000_000


def open_torch(path: str) -> Tensors:
    """The tensors of a `torch.save` file, by their dotted names.

    Where the weights lie under a key such as `state_dict`, that key is taken alone.

    Raises:
        CheckpointError: the file is damaged, older than PyTorch 1.6, or holds anything
            else than tensors, numbers, strings and containers; nothing is executed.
        FileNotFoundError: there is none.
    """
    name = os.path.basename(path)
    with reading(name):
        if not zipfile.is_zipfile(path):
            if not os.path.exists(path):
                raise FileNotFoundError(path)
            raise CheckpointError(
                f"{name} is no zip archive: cut short, or saved by a PyTorch older "
                "than 1.6. Save its `state_dict()` again."
            )
        with zipfile.ZipFile(path) as archive:
            found = [n for n in archive.namelist() if n.endswith("data.pkl")]
            if len(found) != 1 or archive.getinfo(found[0]).file_size > _MAX_PICKLE:
                raise CheckpointError(
                    f"{name}: no `data.pkl` of a sensible size in it."
                )
            root = found[0].removesuffix("data.pkl")
            tree = read_pickled(archive.read(found[0]), name)
            order = f"{root}byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise CheckpointError(f"{name}: its numbers are big-endian.")
            if any(i.compress_type != zipfile.ZIP_STORED for i in archive.infolist()):
                raise CheckpointError(
                    f"{name}: its members are compressed, as `torch.save` never does."
                )
            sizes = {info.filename: info.file_size for info in archive.infolist()}
        return Tensors(name, _entries(path, name, root, tree, sizes))


def _entries(
    path: str, name: str, root: str, tree: Any, sizes: Mapping[str, int]
) -> dict[str, Entry]:
    if isinstance(tree, dict):
        for nest in _NESTS:
            if isinstance(tree.get(nest), dict) and any(_flat(tree[nest])):
                tree = tree[nest]
                break
    entries = {}
    for key, record in _flat(tree):
        dtype = _STORAGES.get(record.storage.kind)
        member = f"{root}data/{record.storage.key}"
        if dtype is None or not re.fullmatch(r"\d+", record.storage.key):
            raise CheckpointError(
                f"{name}: tensor {key!r} is a {record.storage.kind}, which is not read."
            )
        _check(name, key, record, dtype, sizes.get(member, -1))
        entries[key] = Entry(
            record.shape,
            dtype,
            lambda m=member, r=record, d=dtype: _read(path, m, r, d),
        )
    if not entries:
        raise CheckpointError(f"{name} holds no tensors.")
    return entries


def _flat(tree: Any) -> Iterator[tuple[str, TensorRecord]]:
    """Tensors below mappings and lists, by dotted names; anything else is left out."""
    waiting, visited = [("", tree)], 0
    while waiting:
        prefix, node = waiting.pop()
        visited += 1
        if visited + len(waiting) > _MAX_NODES:
            # Containers that hold one another several times stand for any number.
            raise CheckpointError("it holds more than any checkpoint does.")
        if isinstance(node, TensorRecord):
            yield prefix, node
            continue
        if isinstance(node, dict):
            inside = list(node.items())
        elif isinstance(node, list | tuple):
            inside = list(enumerate(node))
        else:
            continue
        named = [(f"{prefix}.{k}" if prefix else str(k), v) for k, v in inside]
        waiting += reversed(named)


def _check(
    name: str, key: str, record: TensorRecord, dtype: np.dtype, size: int
) -> None:
    numbers = (record.offset, *record.shape, *record.strides)
    whole = all(type(n) is int and n >= 0 for n in numbers)
    fits = whole and len(record.shape) == len(record.strides)
    if fits and math.prod(record.shape):
        steps = zip(record.shape, record.strides, strict=True)
        last = record.offset + sum((n - 1) * stride for n, stride in steps)
        fits = 0 <= last < size // dtype.itemsize
        # A view that repeats itself could stand for more than the file holds.
        fits = fits and math.prod(record.shape) <= max(size // dtype.itemsize, 1)
    if not fits:
        raise CheckpointError(
            f"{name}: tensor {key!r} of shape {record.shape} does not lie within its "
            f"storage of {max(size, 0):,} bytes. The file is damaged."
        )


def _read(path: str, member: str, record: TensorRecord, dtype: np.dtype) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        data = np.frombuffer(archive.read(member), dtype)
    strides = tuple(stride * dtype.itemsize for stride in record.strides)
    return as_strided(data[record.offset :], record.shape, strides, writeable=False)
