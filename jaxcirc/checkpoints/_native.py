"""The native format: one safetensors file per step beside a `trajectory.json`.

A step exists once `trajectory.json` lists it, and the list is replaced only after the
step's file is whole on disk. The list has the hash of every tensor and a checksum of
its own, so that neither weights nor config can change unseen. Loading reads numbers and
JSON: it never runs code.
"""

import json
import posixpath
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import fsspec
import jax.random as jr

from .._core import (
    create_folder,
    digest_of,
    dump_record,
    parse_record,
    read_bytes,
    write_atomically,
)
from ..models import Transformer, TransformerConfig
from ._tensors import CheckpointError, load_tensors, save_tensors
from ._trajectory import Trajectory

INDEX = "trajectory.json"
# Format 1 had no checksum; it is still read.
FORMAT = 2
_ADVICE = "Restore it, or delete the run's folder and train again."


def open_trajectory(path: str) -> Trajectory:
    """Open a native trajectory; models are read when asked for.

    Only `trajectory.json` is read now, and its checksum compared. Each load compares
    every tensor with the hash that the index has of it, so that neither weights nor
    config change unseen.

    Args:
        path: Its folder; local, or anything fsspec opens.

    Returns:
        The steps that are whole on disk, and a function that reads one.

    Raises:
        CheckpointError: `trajectory.json` is missing, damaged or cannot be read.

    Example:
        >>> import jax.random as jr, tempfile
        >>> from jaxcirc.checkpoints import TrajectoryWriter, open_trajectory
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=3, n_ctx=4, n_layers=1, d_model=2, n_heads=1, norm="none"
        ... )
        >>> folder = tempfile.mkdtemp()
        >>> writer = TrajectoryWriter(folder, config, {"seed": 7})
        >>> writer.save(100, Transformer(config, key=jr.key(0)))
        >>> found = open_trajectory(folder)
        >>> found.steps, found.info["seed"]
        ((100,), 7)
    """
    index = _read_index(path)
    try:
        config = TransformerConfig.from_dict(index["model"])
        like = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
    except Exception as error:
        # Whatever a model refuses of its config, this is the file to look at.
        raise _damaged(path, error) from error

    def read(step: int) -> Transformer:
        entry = index["steps"][str(step)]
        file = posixpath.join(path, entry["file"])
        return load_tensors(file, like, entry["hashes"], as_written=True)

    def fingerprint(step: int) -> str:
        return digest_of([index["model"], index["steps"][str(step)]["hashes"]])

    steps = sorted(int(step) for step in index["steps"])
    info = {k: v for k, v in index.items() if k not in ("steps", "format")}
    return Trajectory(steps, read, info, name=path, fingerprint=fingerprint)


class TrajectoryWriter:
    """Writes a native trajectory step by step; after any interruption it is whole.

    A step's file is written first and listed then, so that a step that is listed is
    whole.

    Args:
        path: Folder to create or go on with.
        config: The model's config.
        info: What else to record, such as the seed. A folder that was begun with
            other values is refused.

    Raises:
        CheckpointError: the folder holds a trajectory of another config or run.
        OSError: the folder cannot be written.
    """

    def __init__(self, path: str, config: TransformerConfig, info: Mapping[str, Any]):
        create_folder(path)
        self.path = path
        # Through JSON and back, so that it compares equal to what a file holds.
        head = json.loads(json.dumps({"model": config.to_dict(), **info}))
        self._head = {"format": FORMAT, **head, "steps": {}}
        found = self._index
        if found is not self._head:
            for key, value in head.items():
                if found.get(key) != value:
                    raise CheckpointError(
                        f"{path} holds another run: `{key}` is {found.get(key)!r} "
                        f"there and {value!r} here. Choose another folder or delete it."
                    )

    @property
    def _index(self) -> dict[str, Any]:
        """The index that is on disk now, since another writer may have added steps."""
        fs, root = fsspec.core.url_to_fs(self.path)
        there = fs.exists(posixpath.join(root, INDEX))
        return _read_index(self.path) if there else self._head

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps that are whole on disk."""
        return tuple(sorted(int(step) for step in self._index["steps"]))

    def save(self, step: int, model: Transformer) -> None:
        """Save the model at a step, replacing what the step may have held.

        Args:
            step: The training step.
            model: A model of the trajectory's config.

        Raises:
            OSError: the disk is full or not writable; earlier steps are untouched.
        """
        file = f"step_{step:08d}.safetensors"
        hashes = save_tensors(posixpath.join(self.path, file), model)
        entry = {"file": file, "hashes": hashes}
        self._replace_steps(self._index["steps"] | {str(step): entry})

    def discard(self, step: int) -> None:
        """Remove a step, if it is there: a model that turned out to be broken.

        Args:
            step: The training step.
        """
        steps = dict(self._index["steps"])
        if entry := steps.pop(str(step), None):
            self._replace_steps(steps)
            fs, root = fsspec.core.url_to_fs(self.path)
            fs.rm_file(posixpath.join(root, entry["file"]))

    def _replace_steps(self, steps: dict[str, Any]) -> None:
        ordered = dict(sorted(steps.items(), key=lambda item: int(item[0])))
        index = self._index | {"format": FORMAT, "steps": ordered}
        write_atomically(posixpath.join(self.path, INDEX), dump_record(index))


def _read_index(path: str) -> dict[str, Any]:
    """The index of a trajectory, whose checksum and entries are as they should be.

    Raises:
        CheckpointError: it is missing, damaged, or of a format that is not known.
    """
    file = posixpath.join(path, INDEX)
    try:
        index = parse_record(read_bytes(file), sealed_since=2)
        if index.get("format") not in (1, FORMAT):
            raise CheckpointError(
                f"{file}: format {index.get('format')!r} is unknown; this version "
                f"reads 1 and {FORMAT}."
            )
        _check_entries(index)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} holds no {INDEX}: not a trajectory.") from error
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{error}.") from error
    except ValueError as error:
        raise _damaged(path, error) from error
    return index


def _check_entries(index: Mapping[str, Any]) -> None:
    """Refuse an index whose entries are not of the kinds that a writer gives them."""
    if not isinstance(index.get("model"), dict):
        raise ValueError("it lacks the entry `model`")
    steps = index.get("steps")
    if not isinstance(steps, dict):
        raise ValueError("it lacks the entry `steps`")
    for step, entry in steps.items():
        hashes = entry.get("hashes") if isinstance(entry, dict) else None
        if not step.isdigit() or not isinstance(hashes, dict):
            raise ValueError(f"its step {step!r} has no hashes")
        name = entry.get("file")
        if not isinstance(name, str) or posixpath.basename(name) != name:
            raise ValueError(f"its step {step!r} names no file beside it")


def _damaged(path: str, error: Exception) -> CheckpointError:
    """An error that names the index and says what to do."""
    file = posixpath.join(path, INDEX)
    return CheckpointError(f"{file} is damaged: {str(error).rstrip('.')}. {_ADVICE}")
