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
    """Write the array leaves of a tree by name to one safetensors file, atomically.

    The file appears whole or not at all, and it can be read by anything that reads
    safetensors. Leaves that are no arrays are left out, and names are the paths to
    leaves, with dots.

    Args:
        file: Where to write.
        tree: Its array leaves are written.
        about: Entries for the file's header, such as what the tensors are of.

    Returns:
        The hash of each tensor; the file's header carries them too.

    Raises:
        OSError: the disk is full or not writable; what was there is untouched.

    Example:
        >>> import jax.numpy as jnp, tempfile
        >>> from jaxcirc.checkpoints import recorded_hashes, save_tensors
        >>> file = tempfile.mkdtemp() + "/state.safetensors"
        >>> hashes = save_tensors(file, {"w": jnp.zeros(3), "name": "left out"})
        >>> list(hashes), hashes == recorded_hashes(file)
        (['w'], True)
    """
    arrays, hashes = named_leaves(tree), tensor_hashes(tree)
    entries = {"hashes": json.dumps(hashes), **(about or {})}
    data = safetensors.flax.save(arrays, metadata=entries)
    write_atomically(file, data)
    return hashes


def tensor_hashes(tree: PyTree) -> dict[str, str]:
    """The hash of each array leaf, by name.

    A hash is of values, shape and type: 24 hexadecimal digits of BLAKE2b. Two arrays
    have the same one if they are equal bit by bit, so 0.0 and -0.0 are told apart and
    two NaNs of the same bits are not. It is what `save_tensors` writes into a file's
    header and what identities of runs are made of.

    Args:
        tree: Any tree; leaves that are no arrays are left out.

    Returns:
        Name -> hash.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.checkpoints import tensor_hashes
        >>> zero = jnp.zeros(3)
        >>> found = tensor_hashes({"a": zero, "b": jnp.zeros(3), "c": -zero})
        >>> found["a"] == found["b"], found["a"] == found["c"]
        (True, False)
    """
    leaves = named_leaves(tree).items()
    return {name: _digest(np.asarray(array)) for name, array in leaves}


def load_tensors(
    file: str,
    like: Tree,
    hashes: Mapping[str, str] | None = None,
    *,
    as_written: bool = False,
) -> Tree:
    """A tree with its array leaves read from a file.

    Every tensor that the tree wants is compared with its hash, its shape and its type
    before any is handed out; what else the file holds is ignored.

    Args:
        file: What `save_tensors` wrote.
        like: A tree of that structure; arrays or shapes.
        hashes: What the tensors must hash to; the file's own record if None.
        as_written: Take real numbers in the width that they were written in, and not in
            that of `like` alone.

    Returns:
        `like` with the file's arrays in place of its own; other leaves stay.

    Raises:
        CheckpointError: the file is missing, cut short, changed since it was written,
            or holds other tensors than `like`, or float64 that JAX is not set to read.

    Example:
        >>> import jax.numpy as jnp, tempfile
        >>> from jaxcirc.checkpoints import load_tensors, save_tensors
        >>> file = tempfile.mkdtemp() + "/state.safetensors"
        >>> _ = save_tensors(file, {"w": jnp.arange(3.0)})
        >>> load_tensors(file, {"w": jnp.zeros(3)})["w"].tolist()
        [0.0, 1.0, 2.0]
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
            lambda x: jax.device_put(arrays[next(values)]) if is_array(x) else x, like
        )


def _check_kind(who: str, found: np.ndarray, leaf: Any, as_written: bool) -> None:
    """Refuse another shape or type than that of `leaf`.

    Raises:
        CheckpointError: the tensor is of another model or another width of numbers.
    """
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

    The whole file is read, and nothing of it is kept. It finds what a disk, a copy or
    an edit has changed, but not a file that somebody has replaced by another whole one:
    for that, `load_tensors` takes hashes from elsewhere.

    Args:
        file: What `save_tensors` wrote.

    Raises:
        CheckpointError: the file is missing, cut short or changed.

    Example:
        >>> import jax.numpy as jnp, tempfile
        >>> from jaxcirc.checkpoints import CheckpointError, check_tensors, save_tensors
        >>> file = tempfile.mkdtemp() + "/state.safetensors"
        >>> _ = save_tensors(file, {"w": jnp.zeros(3)})
        >>> with open(file, "r+b") as found:
        ...     _ = found.seek(-1, 2), found.write(b"x")
        >>> try:
        ...     check_tensors(file)
        ... except CheckpointError:
        ...     print("changed")
        changed
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

    No structure is needed, which is what a reader wants who does not have the class of
    the tree at hand: a dictionary or a mask that a measurement left, for instance. Each
    tensor is compared with its hash first.

    Args:
        file: What `save_tensors` wrote.

    Returns:
        Name -> array, where the names of nested leaves have dots in them.

    Raises:
        CheckpointError: the file is missing, cut short or changed.

    Example:
        >>> import jax.numpy as jnp, tempfile
        >>> from jaxcirc.checkpoints import load_arrays, save_tensors
        >>> file = tempfile.mkdtemp() + "/state.safetensors"
        >>> _ = save_tensors(file, {"opt": {"count": jnp.array(5)}})
        >>> int(load_arrays(file)["opt.count"])
        5
    """
    check_tensors(file)
    return {k: jax.device_put(array) for k, array in _parse(read_bytes(file)).items()}


def recorded_hashes(file: str) -> dict[str, str]:
    """The hashes of a file's tensors, as its header records them.

    They say what was written, not what is there now: `check_tensors` compares the two.
    Two files with the same record hold the same weights, which can be told so without
    reading the weights into arrays.

    Args:
        file: What `save_tensors` wrote.

    Returns:
        Name -> hash, as `tensor_hashes` computes it.

    Raises:
        CheckpointError: the file is missing or damaged.

    Example:
        >>> import jax.numpy as jnp, tempfile
        >>> from jaxcirc.checkpoints import recorded_hashes, save_tensors, tensor_hashes
        >>> file, tree = tempfile.mkdtemp() + "/state.safetensors", {"w": jnp.zeros(3)}
        >>> _ = save_tensors(file, tree)
        >>> recorded_hashes(file) == tensor_hashes(tree)
        True
    """
    return json.loads(recorded_entry(file, "hashes"))


def recorded_entry(file: str, name: str) -> str:
    """An entry of a file's header.

    `save_tensors` writes entries as text beside the tensors; `hashes` is always one. A
    header is not covered by the hashes of tensors, so an entry that matters should be
    compared with what it is about.

    Args:
        file: What `save_tensors` wrote.
        name: Name of the entry.

    Returns:
        Its text.

    Raises:
        CheckpointError: the file is missing or damaged, or has no such entry.

    Example:
        >>> import jax.numpy as jnp, tempfile
        >>> from jaxcirc.checkpoints import recorded_entry, save_tensors
        >>> file = tempfile.mkdtemp() + "/state.safetensors"
        >>> _ = save_tensors(file, {"w": jnp.zeros(3)}, {"step": "100"})
        >>> recorded_entry(file, "step")
        '100'
    """
    try:
        return str(_entries(read_bytes(file))[name])
    except (OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{file} is damaged: {error}. {_ADVICE}") from error


def _digest(array: np.ndarray) -> str:
    """A hash of an array's bits, shape and type."""
    head = f"{array.dtype}{array.shape}".encode()
    body = np.ascontiguousarray(array).tobytes()
    return hashlib.blake2b(head + body, digest_size=12).hexdigest()


def _parse(data: bytes) -> dict[str, np.ndarray]:
    """The arrays in the bytes of a safetensors file."""
    # safetensors' own NumPy reader does not know bfloat16.
    return {
        name: np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(
            entry["shape"]
        )
        for name, entry in safetensors.deserialize(data)
    }


def _recorded_hashes(data: bytes) -> dict[str, str]:
    """The hashes that the header of a file's bytes records."""
    return json.loads(_entries(data)["hashes"])


def _entries(data: bytes) -> dict[str, str]:
    """The header's entries, which are text, in a file's bytes."""
    # A safetensors file opens with the length of its JSON header, in eight bytes.
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
