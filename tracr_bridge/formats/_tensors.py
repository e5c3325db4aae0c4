"""Named tensors of a file, each read when asked for."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from jaxcirc.checkpoints import CheckpointError


class Entry(NamedTuple):
    """A tensor that has not been read yet."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


class Tensors(Mapping[str, Any]):
    """Name -> array; `shapes` and `dtypes` are known without reading any.

    Args:
        name: How messages call the file.
        entries: What is in it.
    """

    def __init__(self, name: str, entries: Mapping[str, Entry]):
        self.name = name
        self._entries = dict(entries)
        self.shapes = {k: e.shape for k, e in self._entries.items()}
        self.dtypes = {k: e.dtype for k, e in self._entries.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        entry = self._entries[name]
        with reading(self.name):
            array = entry.read()
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
        """This file's tensors and another's."""
        return Tensors(self.name, self._entries | other._entries)


def in_memory(name: str, arrays: Mapping[str, np.ndarray]) -> Tensors:
    """Arrays that are there already, as such a file."""
    return Tensors(
        name,
        {
            key: Entry(array.shape, array.dtype, lambda array=array: array)
            for key, array in arrays.items()
        },
    )


class reading:
    """Whatever a damaged file makes a parser raise becomes one clear error."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, trace) -> None:
        if error is None or isinstance(error, CheckpointError | FileNotFoundError):
            return
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
    "I8": np.dtype(np.int8),
    "I16": np.dtype(np.int16),
    "I32": np.dtype(np.int32),
    "I64": np.dtype(np.int64),
}
