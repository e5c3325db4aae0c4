"""Arrays on their way from a file to a device."""

import math
import mmap

import numpy as np

# XLA takes over a buffer without a copy if it begins at a multiple of this.
_ALIGNMENT = 64
_LARGE = 1 << 22
# Rows whose transpose stays in a core's cache while it is written.
_ROWS = 64


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array that a CPU device can take over without a copy; its numbers are not set.

    It begins at a multiple of 64 bytes, as XLA asks of a buffer that it does not copy.
    From 4 MB on it has pages of its own, which go back to the system with the array.

    Args:
        shape: Sizes of its axes; () for a single number.
        dtype: Its type.

    Returns:
        A writable array in C order.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.checkpoints.formats import aligned_empty
        >>> array = aligned_empty((2, 3), np.dtype(np.float32))
        >>> array.shape, array.ctypes.data % 64
        ((2, 3), 0)
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size >= _LARGE:
        # Whole pages, and large ones where the system has them: their first use costs
        # a third of that of memory from `malloc`.
        pages = mmap.mmap(-1, size)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            pages.madvise(mmap.MADV_HUGEPAGE)
        return np.frombuffer(pages, dtype).reshape(shape)
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def copy_blocked(to: np.ndarray, source: np.ndarray) -> None:
    """Do `to[...] = source`, a few of the source's own rows at a time.

    Copied whole, the transpose of a large matrix misses the cache at every number:
    eight times slower for 3,072 x 768.

    Args:
        to: Where the numbers go; of the source's shape. They are cast to its type.
        source: Where they come from, with any strides.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.checkpoints.formats import copy_blocked
        >>> to = np.zeros((2, 3))
        >>> copy_blocked(to, np.arange(6.0).reshape(3, 2).T)
        >>> to.tolist()
        [[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]
    """
    order = np.argsort([-abs(stride) for stride in source.strides], kind="stable")
    _copy(to.transpose(order), source.transpose(order))


def _copy(to: np.ndarray, source: np.ndarray) -> None:
    """Do the same for arrays whose largest strides come first."""
    if source.ndim > 2:
        for inner_to, inner in zip(to, source, strict=True):
            _copy(inner_to, inner)
        return
    if source.ndim == 0:
        to[...] = source
        return
    for start in range(0, len(source), _ROWS):
        to[start : start + _ROWS] = source[start : start + _ROWS]
