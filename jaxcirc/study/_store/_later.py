"""Arrays of cells that stay in their files until somebody looks at them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from ..._core import seal_of
from ._cell import read_array

# A variable of more bytes than this in each cell is read where it is used.
LATER = 2**16


class Cells(NamedTuple):
    """The files of several steps.

    Args:
        files: For each step how to read its file, and the seal that it had.
    """

    files: tuple[tuple[Callable[[], bytes], str], ...]

    def later(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype
    ) -> indexing.MemoryCachedArray:
        """A variable over all steps, of which nothing is read yet.

        Args:
            name: Of the variable.
            shape: Of it in one cell.
            dtype: Of its values when they are decoded.
        """
        later = indexing.LazilyIndexedArray(_Later(self, name, shape, dtype))
        # What is looked at whole is kept, as with any file that xarray opens.
        return indexing.MemoryCachedArray(
            indexing.CopyOnWriteArray(later)  # pyright: ignore[reportArgumentType]
        )


class _Later(BackendArray):
    """Reads the steps that an index names, and of each the part that it names."""

    def __init__(
        self, cells: Cells, name: str, shape: tuple[int, ...], dtype: np.dtype
    ):
        self._cells, self._name = cells, name
        self.shape, self.dtype = (len(cells.files), *shape), dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._values
        )

    def _values(self, key: tuple[int | slice, ...]) -> np.ndarray:
        step, *rest = key
        if not isinstance(step, slice):
            return self._of(step, tuple(rest))
        steps = range(len(self._cells.files))[step]
        some = [self._of(i, tuple(rest)) for i in steps]
        return np.stack(some) if some else np.empty((0, *self.shape[1:]))[:, *rest]

    def _of(self, i: int, key: tuple[int | slice, ...]) -> np.ndarray:
        """The part of the i-th step's values that a key names."""
        read, seal = self._cells.files[i]
        data = read()
        if seal_of(data) != seal:
            raise ValueError(
                f"a cell of {self._name!r} has changed since the run was opened; open "
                "it again to see its results as they are now"
            )
        return read_array(data, self._name).astype(self.dtype)[key]
