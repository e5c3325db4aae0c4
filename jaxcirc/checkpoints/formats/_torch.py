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

from .._tensors import CheckpointError
from ._pickled import Call, TensorRecord, read_pickled
from ._tensors import (
    Entry,
    Tensors,
    is_shape,
    ordinary,
    reading,
    some_readable,
    unreadable,
)
from ._zip import data_start, open_zip

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
# Training scripts keep the weights under these keys, and may nest them.
_NESTS = (
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
)
_MOST_NESTED = 4
# Calls that make what somebody may take for a weight.
_ARRAYS = re.compile(r"torch\._\w+\._rebuild_\w+|numpy\.[\w.]+\._reconstruct")
_MAX_PICKLE = 256_000_000
# Containers that hold one another several times stand for any number of places.
_MOST_NODES, _MOST_LETTERS, _DEEPEST = 2_000_000, 1 << 26, 100
# A storage may serve many tensors (ties, shared layers), a view may repeat a number.
_MOST_SHARED, _ALWAYS_ALLOWED, _MOST_REPEATED = 64, 1 << 26, 1 << 20


def open_torch(path: str) -> Tensors:
    """The tensors of a `torch.save` file, by their dotted names.

    PyTorch is not needed, and nothing in the file is executed: the few instructions
    that describe tensors are interpreted, and any other call is data. Where the weights
    lie under a key such as `state_dict`, that key is taken alone. Whatever is no tensor
    is left out; a tensor of a kind that is not read here is an error when it is asked
    for.

    Args:
        path: The file.

    Returns:
        A mapping from names to arrays, each mapped into memory when it is asked for.

    Raises:
        CheckpointError: the file is damaged, older than PyTorch 1.6, or holds no
            tensors.
        FileNotFoundError: there is none.
    """
    name = os.path.basename(path)
    with reading(name):
        if not zipfile.is_zipfile(ordinary(path)):
            raise CheckpointError(
                f"{name} is no zip archive: cut short, or saved by a PyTorch older "
                "than 1.6. Save its `state_dict()` again."
            )
        with open_zip(path, name) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if any(i.compress_type != zipfile.ZIP_STORED for i in members.values()):
                raise CheckpointError(
                    f"{name}: its members are compressed, as `torch.save` never does."
                )
            found = [n for n in members if n.endswith("data.pkl")]
            if len(found) != 1 or members[found[0]].file_size > _MAX_PICKLE:
                raise CheckpointError(
                    f"{name}: no `data.pkl` of a sensible size in it."
                )
            root = found[0].removesuffix("data.pkl")
            order = f"{root}byteorder"
            if order in members and archive.open(order).read(16) != b"little":
                raise CheckpointError(f"{name}: its numbers are big-endian.")
            tree = read_pickled(archive.read(found[0]), name)
        storages = _Storages(path, root, members)
        return some_readable(name, _entries(name, tree, storages))


class _Storages:
    """The runs of numbers in an archive.

    Args:
        path: Of the archive.
        root: Of its members' names.
        members: What is in it.
    """

    def __init__(self, path: str, root: str, members: Mapping[str, zipfile.ZipInfo]):
        self._path, self._root, self._members = path, root, members
        self._checked: set[str] = set()

    def bytes_of(self, key: str) -> int:
        """The length of one storage in bytes; 0 if there is none."""
        member = self._members.get(f"{self._root}data/{key}")
        return 0 if member is None else member.file_size

    def read(self, key: str, begin: int, length: int) -> np.ndarray:
        """A part of one storage, mapped into memory after its checksum was compared."""
        member = self._members[f"{self._root}data/{key}"]
        if key not in self._checked:
            with zipfile.ZipFile(self._path) as archive, archive.open(member) as file:
                while file.read(1 << 20):
                    pass
            self._checked.add(key)
        place = data_start(self._path, member) + begin
        return np.asarray(np.memmap(self._path, np.uint8, "r", place, (length,)))


def _entries(name: str, tree: Any, storages: _Storages) -> dict[str, Entry]:
    """The tensors of a parsed file.

    Raises:
        CheckpointError: there are none, or they stand for far more bytes than the file
            holds.
    """
    entries, announced, there = {}, 0, {}
    for key, found in _flat(_weights_in(tree)):
        if isinstance(found, Call):
            entries[key] = unreadable(
                f"is made by {found.what}, which is not read here"
            )
            continue
        entries[key] = _entry(found, storages)
        if not entries[key].fault:
            announced += math.prod(found.shape) * entries[key].dtype.itemsize
            there[found.storage.key] = storages.bytes_of(found.storage.key)
    if not entries:
        raise CheckpointError(f"{name} holds no tensors.{_calls(tree)}")
    held = sum(there.values())
    if announced > _MOST_SHARED * held + _ALWAYS_ALLOWED:
        raise CheckpointError(
            f"{name} holds {held:,} bytes that stand for {announced:,}, as in no "
            "checkpoint. It was not read."
        )
    return entries


def _weights_in(tree: Any) -> Any:
    """The part of a training script's dictionary that holds the weights."""
    for _ in range(_MOST_NESTED):
        if not isinstance(tree, dict):
            break
        nested = (tree[n] for n in _NESTS if isinstance(tree.get(n), dict))
        inner = next((one for one in nested if any(_flat(one))), None)
        if inner is None:
            break
        tree = inner
    return tree


def _calls(tree: Any) -> str:
    """A sentence that names the call that a file has in place of tensors."""
    inside = list(tree.values()) if isinstance(tree, dict) else [tree]
    calls = [one.what for one in inside if isinstance(one, Call)]
    if not calls:
        return ""
    return (
        f" Its pickle holds a call of {calls[0]}, which was not executed. If you trust "
        "whoever made it, load it in PyTorch and save its `state_dict()` as "
        "safetensors."
    )


def _flat(tree: Any) -> Iterator[tuple[str, TensorRecord | Call]]:
    """Tensors below mappings and lists, by dotted names; anything else is left out."""
    waiting: list[tuple[str, Any, int]] = [("", tree, 0)]
    visited = letters = 0
    while waiting:
        prefix, node, depth = waiting.pop()
        if isinstance(node, TensorRecord | Call):
            yield prefix, node
            continue
        if not isinstance(node, dict | list | tuple):
            continue
        inside = list(node.items() if isinstance(node, dict) else enumerate(node))
        visited += 1 + len(inside)
        kept = [(str(k), v) for k, v in inside if _may_hold_weights(v)]
        # Counted before the names are made: each repeats what is in front of it.
        letters += sum(len(prefix) + len(key) for key, _ in kept)
        if visited > _MOST_NODES or letters > _MOST_LETTERS or depth > _DEEPEST:
            raise CheckpointError("it holds more than any checkpoint does.")
        front = f"{prefix}." if prefix else ""
        waiting += [(front + key, v, depth + 1) for key, v in reversed(kept)]


def _may_hold_weights(node: Any) -> bool:
    """Whether a node is a container or a call that makes an array."""
    if isinstance(node, Call):
        return _ARRAYS.fullmatch(node.what) is not None
    return isinstance(node, dict | list | tuple)


def _entry(record: TensorRecord, storages: _Storages) -> Entry:
    """A tensor of a storage, or why it cannot be read."""
    storage = record.storage
    if not (is_shape(record.shape) and is_shape(record.strides)):
        return unreadable("has no shape of whole numbers; the file is damaged")
    shape, strides = tuple(record.shape), tuple(record.strides)
    if len(shape) != len(strides):
        return unreadable("has no shape of whole numbers; the file is damaged")
    dtype = _STORAGES.get(storage.kind)
    if dtype is None:
        kind = storage.kind[:40]
        return unreadable(f"is a {kind}, which is not read here", shape)
    size, count = storages.bytes_of(storage.key), math.prod(shape)
    steps = zip(shape, strides, strict=True)
    last = record.offset + sum((n - 1) * stride for n, stride in steps)
    if count and not 0 <= record.offset <= last < size // dtype.itemsize:
        return unreadable(
            f"of shape {shape} does not lie within its storage of {size:,} bytes; the "
            "file is damaged",
            shape,
        )
    if count > max(size // dtype.itemsize, _MOST_REPEATED):
        return unreadable(
            f"of shape {shape} does not lie within its storage of {size:,} bytes but "
            "repeats it; save a `.contiguous()` copy",
            shape,
        )

    def read() -> np.ndarray:
        if not count:
            return np.empty(shape, dtype)
        begin, length = record.offset * dtype.itemsize, last + 1 - record.offset
        data = storages.read(storage.key, begin, length * dtype.itemsize).view(dtype)
        steps = tuple(stride * dtype.itemsize for stride in strides)
        return as_strided(data, shape, steps, writeable=False)

    return Entry(shape, dtype, read)
