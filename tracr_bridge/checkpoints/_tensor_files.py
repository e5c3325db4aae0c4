"""Tensors of files, of folders that models are split over, and of trees."""

import os
from typing import Any

import numpy as np

from jaxcirc._core import named_leaves
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.checkpoints.formats import (
    Tensors,
    in_memory,
    open_npz,
    open_safetensors,
    open_torch,
    ordinary,
    parse_json,
    reading,
)

from ._sources import located

# A config takes kilobytes, the index of the largest models some megabytes.
_MAX_JSON = 32_000_000
# In order of preference. Where a model is split over files, an index lists them.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_KINDS = {".safetensors": open_safetensors, ".npz": open_npz}
_KINDS |= dict.fromkeys((".pt", ".pth", ".ckpt", ".bin"), open_torch)


def open_tensors(source: Any) -> Tensors:
    """Named tensors of a file, a folder, or a tree of arrays.

    Names, shapes and types are known at once, and a tensor is read when it is asked
    for. No file is trusted: sizes are checked before anything is allocated, and nothing
    in a pickle is executed.

    Args:
        source: A path that ends in `.safetensors`, `.npz`, `.pt`, `.pth`, `.ckpt` or
            `.bin`; a folder of them as HuggingFace splits models; or a tree of arrays
            (a state dict, Flax parameters, what Orbax restored), whose leaves are
            called by their dotted paths.

    Returns:
        A mapping from names to NumPy arrays.

    Raises:
        CheckpointError: the file is missing or damaged, or holds no numbers. An entry
            of another kind is an error when it is read.
        ValueError: the ending says no kind that is read.

    Example:
        >>> import numpy as np
        >>> from tracr_bridge import open_tensors
        >>> open_tensors({"embed": {"kernel": np.zeros((5, 2))}}).shapes
        {'embed.kernel': (5, 2)}
    """
    if not isinstance(source, str | os.PathLike):
        leaves = named_leaves(source)
        return in_memory("tree", {k: np.asarray(v) for k, v in leaves.items()})
    path = located(source)
    if os.path.isdir(path):
        return open_weights(path)
    return _open_file(path)


def _open_file(path: str) -> Tensors:
    """The tensors of one file, by its ending.

    Raises:
        CheckpointError: it is missing or damaged.
        ValueError: the ending says no kind that is read.
    """
    kind = _KINDS.get(os.path.splitext(path)[1])
    if kind is None:
        raise ValueError(f"{path}: its ending is none of {', '.join(_KINDS)}.")
    try:
        return kind(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing.") from error


def open_weights(folder: str) -> Tensors:
    """The tensors of a folder, from one file or several, safetensors if there are any.

    Raises:
        CheckpointError: there are none, or a file is missing or damaged.
    """
    for name in WEIGHTS:
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            continue
        if not name.endswith(".json"):
            return _open_file(path)
        parts = [_open_file(os.path.join(folder, part)) for part in _shards(path)]
        whole = Tensors(folder, {})
        for part in parts:
            whole = whole.joined(part)
        return whole
    raise CheckpointError(f"{folder} holds no weights: none of {', '.join(WEIGHTS)}.")


def _shards(index: str) -> list[str]:
    """The files that an index lists, each a plain name beside it.

    Raises:
        CheckpointError: the index is damaged or points outside its folder.
    """
    listed = read_json(index).get("weight_map")
    files = list(listed.values()) if isinstance(listed, dict) else []
    plain = all(isinstance(name, str) and _is_plain(name) for name in files)
    if not files or not plain:
        raise CheckpointError(f"{index} lists no files beside it; it is damaged.")
    return sorted(set(files))


def _is_plain(name: str) -> bool:
    """Whether this names a file of the same folder."""
    return os.path.basename(name) == name and name not in ("", ".", "..")


def read_json(path: str) -> dict[str, Any]:
    """A JSON file that holds a mapping.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        with reading(path), open(ordinary(path), "rb") as file:
            data = file.read(_MAX_JSON + 1)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing.") from error
    if len(data) > _MAX_JSON:
        raise CheckpointError(f"{path} is longer than any checkpoint's.")
    return parse_json(data, path)
