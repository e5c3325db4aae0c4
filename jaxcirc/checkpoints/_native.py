"""The native format: one safetensors file per step beside a `trajectory.json`.

A step exists once `trajectory.json` lists it, and the list is replaced only after the
step's file is whole on disk. Loading reads numbers and JSON: it never runs code.
"""

import json
import posixpath
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import fsspec
import jax.random as jr

from .._core import create_folder, write_atomically
from ..models import Transformer, TransformerConfig
from ._tensors import CheckpointError, load_tensors, save_tensors
from ._trajectory import Trajectory

INDEX = "trajectory.json"
FORMAT = 1


def open_trajectory(path: str) -> Trajectory:
    """Open a native trajectory; models are read when asked for.

    Args:
        path: Its folder; local, or anything fsspec opens.

    Raises:
        CheckpointError: `trajectory.json` is missing or damaged.
    """
    index = _read_index(path)
    config = TransformerConfig.from_dict(index["model"])
    like = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))

    def read(step: int) -> Transformer:
        entry = index["steps"][str(step)]
        file = posixpath.join(path, entry["file"])
        return load_tensors(file, like, entry["hashes"], as_written=True)

    steps = sorted(int(step) for step in index["steps"])
    info = {k: v for k, v in index.items() if k != "steps"}
    return Trajectory(steps, read, info, name=path)


class TrajectoryWriter:
    """Writes a native trajectory step by step; after any interruption it is whole.

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
        self._index = {"format": FORMAT, **head, "steps": {}}
        fs, root = fsspec.core.url_to_fs(path)
        if fs.exists(posixpath.join(root, INDEX)):
            found = _read_index(path)
            for key, value in head.items():
                if found.get(key) != value:
                    raise CheckpointError(
                        f"{path} holds another run: `{key}` is {found.get(key)!r} "
                        f"there and {value!r} here. Choose another folder or delete it."
                    )
            self._index = found

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps that are whole on disk."""
        return tuple(sorted(int(step) for step in self._index["steps"]))

    def save(self, step: int, model: Transformer) -> None:
        """Save the model at a step, replacing what the step may have held.

        Raises:
            OSError: the disk is full or not writable; earlier steps are untouched.
        """
        file = f"step_{step:08d}.safetensors"
        hashes = save_tensors(posixpath.join(self.path, file), model)
        entry = {"file": file, "hashes": hashes}
        self._replace_steps(self._index["steps"] | {str(step): entry})

    def discard(self, step: int) -> None:
        """Remove a step, if it is there: a model that turned out to be broken."""
        steps = dict(self._index["steps"])
        if entry := steps.pop(str(step), None):
            self._replace_steps(steps)
            fs, root = fsspec.core.url_to_fs(self.path)
            fs.rm_file(posixpath.join(root, entry["file"]))

    def _replace_steps(self, steps: dict[str, Any]) -> None:
        index = self._index | {"steps": steps}
        data = json.dumps(index, indent=1, sort_keys=True).encode()
        write_atomically(posixpath.join(self.path, INDEX), data)
        self._index = index


def _read_index(path: str) -> dict[str, Any]:
    file = posixpath.join(path, INDEX)
    try:
        with fsspec.open(file, "rb") as handle:
            index = json.loads(handle.read())  # pyright: ignore
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} holds no {INDEX}: not a trajectory.") from error
    except ValueError as error:
        raise CheckpointError(f"{file} is damaged: {error}.") from error
    if index.get("format") != FORMAT:
        raise CheckpointError(
            f"{file}: format {index.get('format')!r} is unknown; this version reads "
            f"{FORMAT}."
        )
    return index
