"""Named tensors of a file, each read when asked for."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

import ml_dtypes
import numpy as np

from .._tensors import CheckpointError

# NumPy's own limit, so that no product of sizes is a long one.
MOST_AXES = 64


class Entry(NamedTuple):
    """A tensor that has not been read yet.

    Args:
        shape: Its shape; () where the file does not say it.
        dtype: Its type; void where it is none that is read.
        read: () -> the array.
        fault: The reason why it cannot be read, as the end of a sentence; empty if it
            can. Only who asks for the tensor is told.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]
    fault: str = ""


def unreadable(fault: str, shape: tuple[int, ...] = ()) -> Entry:
    """An entry that is there and cannot be read, which only matters if it is asked for.

    Args:
        fault: Why, as the end of a sentence that begins with the entry's name.
        shape: As the file says.
    """

    def read() -> np.ndarray:
        raise CheckpointError(fault)

    return Entry(shape, np.dtype(np.void), read, fault)


def is_shape(found: Any) -> TypeGuard[list[int] | tuple[int, ...]]:
    """Whether these are whole numbers that an array can have as its sizes."""
    return (
        isinstance(found, list | tuple)
        and len(found) <= MOST_AXES
        and all(type(n) is int and 0 <= n < 2**63 for n in found)
    )


def ordinary(path: str) -> str:
    """The path again, if it leads to a regular file.

    A pipe or a device in place of a file would make reading wait without end, so who
    opens a file of somebody else's asks this first. Links are followed.

    Args:
        path: A path to look at; it is not opened.

    Returns:
        The same path.

    Raises:
        CheckpointError: the path leads to something else, such as a folder or a pipe.
        OSError: there is none, or it may not be looked at.

    Example:
        >>> import pathlib, tempfile
        >>> from jaxcirc.checkpoints.formats import ordinary
        >>> path = pathlib.Path(tempfile.mkdtemp(), "weights.bin")
        >>> path.write_bytes(b"1234")
        4
        >>> ordinary(str(path)) == str(path)
        True
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise CheckpointError(f"{path} is no ordinary file.")
    return path


class Tensors(Mapping[str, Any]):
    """Name -> array; `shapes` and `dtypes` are known without reading any.

    A tensor with a fault is among the names, and a `CheckpointError` when it is asked
    for. So is one that turns out to have another shape or type than announced.

    Args:
        name: How messages call the file.
        entries: What is in it.
    """

    def __init__(self, name: str, entries: Mapping[str, Entry]):
        self.name = name
        self._entries = dict(entries)
        self.shapes = {k: e.shape for k, e in self._entries.items()}
        self.dtypes = {k: e.dtype for k, e in self._entries.items()}
        self.faults = {k: e.fault for k, e in self._entries.items() if e.fault}

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        if entry.fault:
            raise CheckpointError(f"{self.name}: {name!r} {entry.fault}.")
        with reading(self.name):
            array = entry.read()
        # Sizes were planned by what was announced.
        if array.shape != entry.shape or array.dtype != entry.dtype:
            raise CheckpointError(f"{self.name}: tensor {name!r} is not as announced.")
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def renamed(self, names: Mapping[str, str]) -> "Tensors":
        """The same under other names, given as new -> old; others are dropped."""
        return Tensors(
            self.name, {new: self._entries[old] for new, old in names.items()}
        )

    def joined(self, other: "Tensors") -> "Tensors":
        """This file's tensors and another's, which win where names are equal."""
        return Tensors(self.name, self._entries | other._entries)


def some_readable(name: str, entries: Mapping[str, Entry]) -> Tensors:
    """A file's tensors, of which at least one can be read.

    Raises:
        CheckpointError: none can; the first one's reason is given.
    """
    faults = [(key, entry.fault) for key, entry in entries.items()]
    if faults and all(fault for _, fault in faults):
        raise CheckpointError(
            f"{name} holds nothing that is read here: {faults[0][0]!r} {faults[0][1]}."
        )
    return Tensors(name, entries)


def in_memory(name: str, arrays: Mapping[str, np.ndarray]) -> Tensors:
    """Arrays that are there already, in the form that files of tensors have.

    Nothing is copied, so a change of an array shows. What takes the tensors of a file,
    such as `from_tensors`, takes these too.

    Args:
        name: How messages call them.
        arrays: The arrays by name.

    Returns:
        The same names, with shapes and types.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.checkpoints.formats import in_memory
        >>> in_memory("made up", {"wte": np.zeros((5, 2))}).shapes
        {'wte': (5, 2)}
    """
    return Tensors(
        name,
        {
            key: Entry(array.shape, array.dtype, lambda array=array: array)
            for key, array in arrays.items()
        },
    )


class reading:
    """A context in which all that a damaged file makes parsers raise is one error."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, trace) -> None:
        if error is None or isinstance(error, CheckpointError | FileNotFoundError):
            return
        if isinstance(error, OSError) and error.errno is not None:
            # The file may be whole: it is a folder, or not ours to read.
            raise CheckpointError(
                f"{self.name} cannot be read: {error.strerror}."
            ) from error
        if isinstance(error, Exception):
            reason = str(error) or type(error).__name__
            raise CheckpointError(
                f"{self.name} is damaged or not of the kind that its name says: "
                f"{reason[:300]}. Download or copy it again."
            ) from error


DTYPES = {
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
    "F64": np.dtype(np.float64),
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "U16": np.dtype(np.uint16),
    "U32": np.dtype(np.uint32),
    "U64": np.dtype(np.uint64),
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
}
