"""What the readers of all formats need: settings, arrays of a shape, a dictionary."""

import json
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.flax

from ..._core import create_folder, read_bytes, write_atomically
from ...checkpoints import CheckpointError
from ...checkpoints.formats import Tensors, parse_json

# A long way above any settings; of a larger file no more is read.
_MOST_BYTES = 4_000_000


def settings(folder: str, name: str) -> dict[str, Any]:
    """The mapping in a JSON file of a folder.

    Raises:
        CheckpointError: it is missing, no JSON, or too large.
    """
    file = os.path.join(folder, name)
    try:
        data = read_bytes(file, _MOST_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error}.") from error
    if len(data) > _MOST_BYTES:
        raise CheckpointError(f"{file} is too large to hold a dictionary's settings.")
    return parse_json(data, file)


def whole(found: Mapping[str, Any], name: str, file: str) -> int:
    """A whole number of the settings, at least 1.

    Raises:
        CheckpointError: it is missing or something else.
    """
    value = found.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 < value < 2**31:
        raise CheckpointError(
            f"{file}: `{name}` should be a whole number above 0; found {value!r}."
        )
    return value


def array(
    tensors: Tensors, name: str, shape: tuple[int, ...], *, dtype: Any = None
) -> jax.Array:
    """A tensor of the file, whose shape is checked before it is read.

    Args:
        tensors: The file.
        name: Of the tensor.
        shape: That it must have.
        dtype: To read it as; None for its own, or float32 where it is float64.

    Raises:
        CheckpointError: it is missing, or has another shape.
    """
    if name not in tensors:
        raise CheckpointError(
            f"{tensors.name}: it has no tensor {name!r}; it has {', '.join(tensors)}."
        )
    if tensors.shapes[name] != shape:
        raise CheckpointError(
            f"{tensors.name}: {name!r} should be {list(shape)} by the settings beside "
            f"it; found {list(tensors.shapes[name])}."
        )
    values = tensors[name]
    narrow = np.float32 if values.dtype == np.float64 else values.dtype
    return jnp.asarray(values.astype(dtype or narrow))


def write(folder: str, name: str, arrays: Mapping[str, Any]) -> None:
    """Write tensors to one safetensors file of a folder, atomically."""
    create_folder(folder)
    data = {key: jnp.asarray(value) for key, value in arrays.items()}
    write_atomically(os.path.join(folder, name), safetensors.flax.save(data))


def write_settings(folder: str, name: str, values: Mapping[str, Any]) -> None:
    """Write settings to a JSON file of a folder, atomically."""
    create_folder(folder)
    text = json.dumps(values, indent=2, allow_nan=False)
    write_atomically(os.path.join(folder, name), text.encode())
