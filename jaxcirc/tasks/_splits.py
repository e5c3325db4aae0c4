"""Which pairs a task of two numbers trains on: a random share, or a given split."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

# Far more than any split of pairs takes; a larger file is another one.
MAX_BYTES = 100_000_000


def random_split(
    p: int, train_fraction: float, seed: int
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    """Numbers a p + b of the pairs (a, b) to train on, and of the others.

    Args:
        p: Both numbers of a pair are below it.
        train_fraction: Share of all p² pairs to train on.
        seed: Seed that draws them.

    Raises:
        ValueError: the fraction leaves a split empty.
    """
    n_train = round(train_fraction * p * p)
    if not 0 < n_train < p * p:
        raise ValueError(
            f"mod_add: `train_fraction` = {train_fraction} leaves a split of the "
            f"{p * p} pairs empty; choose a number between 0 and 1, such as 0.3."
        )
    # NumPy's stream, so that the split is the same on every version of JAX.
    order = np.random.default_rng(seed).permutation(p * p)
    return order[:n_train], order[n_train:]


def given_split(
    p: int, train: str | Sequence[Any] | np.ndarray
) -> tuple[Int[np.ndarray, " train"], Int[np.ndarray, " test"]]:
    """Numbers a p + b of the pairs of a given split, and of the others.

    Args:
        p: Both numbers of a pair are below it.
        train: A `.npy` or `.npz` file, or its content: numbers a p + b, pairs (a, b),
            or a mask of the p² pairs, as a row or a square. Of a `.npz`, the array
            called `train`, or its only one.

    Raises:
        ValueError: it cannot be read, is none of these, names a pair twice, or leaves a
            split empty.
    """
    name = train if isinstance(train, str) else "`train`"
    array = _read(train) if isinstance(train, str) else np.asarray(train)
    numbers = _numbers(array, p, name)
    if len(np.unique(numbers)) < len(numbers):
        raise ValueError(f"mod_add: {name} names a pair twice.")
    if not 0 < len(numbers) < p * p:
        raise ValueError(
            f"mod_add: {name} has {len(numbers)} of the {p * p} pairs, which leaves a "
            "split empty."
        )
    rest = np.ones(p * p, bool)
    rest[numbers] = False
    return numbers, np.flatnonzero(rest)


def _numbers(array: np.ndarray, p: int, name: str) -> np.ndarray:
    if array.dtype == bool and array.shape in ((p * p,), (p, p)):
        return np.flatnonzero(array)
    whole = array.dtype.kind in "iu"
    if whole and array.ndim == 1:
        largest, numbers = p * p, array.astype(np.int64)
    elif whole and array.ndim == 2 and array.shape[1] == 2:
        largest, numbers = p, array.astype(np.int64)
    else:
        raise ValueError(
            f"mod_add: {name} must hold whole numbers a p + b, pairs [a, b], or a mask "
            f"of {p * p} or {p} x {p} booleans; got {array.dtype}{list(array.shape)}."
        )
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < largest:
        raise ValueError(
            f"mod_add: {name} must hold numbers in [0, {largest}); got "
            f"{numbers.min()} to {numbers.max()}."
        )
    return numbers if array.ndim == 1 else numbers[:, 0] * p + numbers[:, 1]


def _read(path: str) -> np.ndarray:
    file = pathlib.Path(path).expanduser()
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        # Mapped, so that a header that claims too much is refused and takes no memory.
        found = np.load(file, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.ndarray):
            return np.array(found)
        with found:
            return _only_array(found)
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise ValueError(f"mod_add: {path} cannot be read: {error}") from error


def _only_array(archive: Any) -> np.ndarray:
    names = archive.files
    if "train" not in names and len(names) != 1:
        raise ValueError(f"give it an array `train`; it has {', '.join(names)}")
    name = "train" if "train" in names else names[0]
    claimed = archive.zip.getinfo(f"{name}.npy").file_size
    if claimed > MAX_BYTES:
        raise ValueError(f"`{name}` has more than {MAX_BYTES:,} bytes")
    return np.asarray(archive[name])
