"""Named tensors in one safetensors file, with a hash of each."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import fsspec
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import safetensors
import safetensors.flax
from jaxtyping import PyTree

from .._core import named_leaves, write_atomically

Tree = TypeVar("Tree")
_DTYPES = {
    "BF16": jnp.bfloat16,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "BOOL": np.bool_,
    "U8": np.uint8,
    "U32": np.uint32,
    "I32": np.int32,
    "I64": np.int64,
}
_ADVICE = "Restore the file, or delete the run's folder and train again."


class CheckpointError(ValueError):
    """A checkpoint file is damaged or does not belong to its trajectory."""


def save_tensors(file: str, tree: PyTree) -> dict[str, str]:
    """Write the array leaves of `tree` by name, atomically.

    Returns:
        The hash of each tensor; the file's header carries them too.

    Raises:
        OSError: the disk is full or not writable; what was there is untouched.
    """
    arrays = named_leaves(tree)
    hashes = {name: _digest(np.asarray(array)) for name, array in arrays.items()}
    data = safetensors.flax.save(arrays, metadata={"hashes": json.dumps(hashes)})
    write_atomically(file, data)
    return hashes


def load_tensors(
    file: str,
    like: Tree,
    hashes: Mapping[str, str] | None = None,
    *,
    as_written: bool = False,
) -> Tree:
    """`like` with its array leaves read from `file`.

    Args:
        file: What `save_tensors` wrote.
        like: A tree of that structure; arrays or shapes.
        hashes: What the tensors must hash to; the file's own record if None.
        as_written: Take real numbers in the width that they were written in, and not in
            that of `like` alone.

    Raises:
        CheckpointError: the file is missing, cut short, changed since it was written,
            or holds other tensors than `like`, or float64 that JAX is not set to read.
    """
    try:
        with fsspec.open(file, "rb") as handle:
            data: bytes = handle.read()  # pyright: ignore
        arrays = _parse(data)
        hashes = _recorded_hashes(data) if hashes is None else hashes
    except FileNotFoundError as error:
        raise CheckpointError(f"checkpoint {file} is missing. {_ADVICE}") from error
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"checkpoint {file} is damaged: {error}. {_ADVICE}"
        ) from error
    for name, leaf in named_leaves(like).items():
        found = arrays.get(name)
        if found is None or _digest(found) != hashes.get(name):
            raise CheckpointError(
                f"checkpoint {file} is damaged: tensor {name!r} is not what was "
                f"written. {_ADVICE}"
            )
        _check_kind(f"checkpoint {file}: tensor {name!r}", found, leaf, as_written)
    values = iter(named_leaves(like))
    is_array = lambda x: eqx.is_array(x) or isinstance(x, jax.ShapeDtypeStruct)
    # A file may hold NaN; where that is a fault is for its reader to say.
    with jax.debug_nans(False):
        return jtu.tree_map(
            lambda x: jnp.asarray(arrays[next(values)]) if is_array(x) else x, like
        )


def _check_kind(who: str, found: np.ndarray, leaf: Any, as_written: bool) -> None:
    """Refuse another shape or type than that of `leaf`."""
    real = all(jnp.issubdtype(x.dtype, jnp.floating) for x in (found, leaf))
    is_x64 = jnp.result_type(float) == np.float64
    if found.dtype == np.float64 and not is_x64:
        raise CheckpointError(
            f"{who} is float64: it was written with JAX_ENABLE_X64=1, and without that "
            "JAX would cut it to float32. Set JAX_ENABLE_X64=1 to read it."
        )
    if found.shape == leaf.shape and (found.dtype == leaf.dtype or real & as_written):
        return
    advice = "It belongs to another model."
    if found.shape == leaf.shape and real:
        advice = (
            "It was written with another JAX_ENABLE_X64; set it as it was then "
            f"(1 for float64), or begin in another folder; now it is "
            f"{int(is_x64)}."
        )
    raise CheckpointError(
        f"{who} should be {leaf.dtype}{list(leaf.shape)}; found {found.dtype}"
        f"{list(found.shape)}. {advice}"
    )


def _digest(array: np.ndarray) -> str:
    head = f"{array.dtype}{array.shape}".encode()
    body = np.ascontiguousarray(array).tobytes()
    return hashlib.blake2b(head + body, digest_size=12).hexdigest()


def _parse(data: bytes) -> dict[str, np.ndarray]:
    # safetensors' own NumPy reader does not know bfloat16.
    return {
        name: np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(
            entry["shape"]
        )
        for name, entry in safetensors.deserialize(data)
    }


def _recorded_hashes(data: bytes) -> dict[str, str]:
    # A safetensors file opens with the length of its JSON header, in eight bytes.
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["hashes"])
