"""Named tensors in one safetensors file, with a hash of each."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import safetensors
import safetensors.flax
from jaxtyping import PyTree

from .._core import named_leaves, read_bytes, write_atomically

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


def save_tensors(
    file: str, tree: PyTree, about: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Write the array leaves of `tree` by name, atomically.

    Args:
        file: Where.
        tree: Its array leaves are written.
        about: Entries for the file's header, such as what the tensors are of.

    Returns:
        The hash of each tensor; the file's header carries them too.

    Raises:
        OSError: the disk is full or not writable; what was there is untouched.
    """
    arrays, hashes = named_leaves(tree), tensor_hashes(tree)
    entries = {"hashes": json.dumps(hashes), **(about or {})}
    data = safetensors.flax.save(arrays, metadata=entries)
    write_atomically(file, data)
    return hashes


def tensor_hashes(tree: PyTree) -> dict[str, str]:
    """The hash of each array leaf, of its values, shape and type, by name."""
    leaves = named_leaves(tree).items()
    return {name: _digest(np.asarray(array)) for name, array in leaves}


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
        data = read_bytes(file)
        arrays = _parse(data)
        hashes = _recorded_hashes(data) if hashes is None else hashes
    except FileNotFoundError as error:
        raise CheckpointError(f"checkpoint {file} is missing. {_ADVICE}") from error
    except OSError as error:
        raise CheckpointError(f"checkpoint: {error}. {_ADVICE}") from error
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
    wide = jnp.zeros(0).dtype == jnp.float64
    real = all(jnp.issubdtype(x.dtype, jnp.floating) for x in (found, leaf))
    if found.dtype == np.float64 and not wide:
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
            f"{int(wide)}."
        )
    raise CheckpointError(
        f"{who} should be {leaf.dtype}{list(leaf.shape)}; found {found.dtype}"
        f"{list(found.shape)}. {advice}"
    )


def check_tensors(file: str) -> None:
    """Compare every tensor of a file with the hash that the file records.

    Raises:
        CheckpointError: the file is missing, cut short or changed.
    """
    try:
        data = read_bytes(file)
        hashes = _recorded_hashes(data)
        found = {name: _digest(array) for name, array in _parse(data).items()}
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{file} is damaged: {error}. {_ADVICE}") from error
    if found != hashes:
        raise CheckpointError(
            f"{file} is damaged: its tensors are not those that were written. {_ADVICE}"
        )


def load_arrays(file: str) -> dict[str, jax.Array]:
    """All tensors of a file that `save_tensors` wrote, by name.

    Args:
        file: Which.

    Raises:
        CheckpointError: the file is missing, cut short or changed.
    """
    check_tensors(file)
    return {k: jnp.asarray(array) for k, array in _parse(read_bytes(file)).items()}


def recorded_hashes(file: str) -> dict[str, str]:
    """The hashes of a file's tensors, as its header records them.

    Args:
        file: What `save_tensors` wrote.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    return json.loads(recorded_entry(file, "hashes"))


def recorded_entry(file: str, name: str) -> str:
    """An entry of a file's header.

    Args:
        file: What `save_tensors` wrote.
        name: Of the entry.

    Raises:
        CheckpointError: the file is missing or damaged, or has no such entry.
    """
    try:
        return str(_entries(read_bytes(file))[name])
    except (OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{file} is damaged: {error}. {_ADVICE}") from error


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
    return json.loads(_entries(data)["hashes"])


def _entries(data: bytes) -> dict[str, str]:
    # A safetensors file opens with the length of its JSON header, in eight bytes.
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
