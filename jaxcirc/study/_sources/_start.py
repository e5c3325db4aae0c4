"""Weights that a training starts from: a run's step, a folder or the hub."""

import posixpath
from collections.abc import Callable
from typing import Any, NamedTuple

import fsspec

from ..._core import digest_of, find
from ...checkpoints import READERS, open_trajectory, tensor_hashes
from ...models import Transformer, TransformerConfig


class Start(NamedTuple):
    """One model to start from.

    Args:
        name: As the study calls it.
        config: Of the model.
        load: Gives the model.
        fingerprint: Gives a short name for its weights.
    """

    name: str
    config: TransformerConfig
    load: Callable[[], Transformer]
    fingerprint: Callable[[], str]

    def record(self) -> dict[str, Any]:
        """What of it belongs to the identity of a run: whose it is, and its hash."""
        return {"name": self.name, "weights": self.fingerprint()}


def find_start(text: str) -> Start:
    """The weights that `training.start` names.

    Args:
        text: `runs/NAME`, `runs/NAME@STEP`, a folder or file of weights, or an id of
            the HuggingFace hub with or without `@REVISION`.

    Raises:
        ValueError: there is no such run, step or model, or it is damaged.
    """
    folder, at, step = text.rpartition("@")
    if not at:
        folder, step = text, ""
    fs, root = fsspec.core.url_to_fs(folder)
    if fs.isdir(posixpath.join(root, "training")):
        return _of_run(text, folder, step)
    return _of_weights(text, folder, step or None)


def _of_run(text: str, folder: str, step: str) -> Start:
    training = posixpath.join(folder, "training")
    fs, root = fsspec.core.url_to_fs(training)
    names = sorted(posixpath.basename(p) for p in fs.ls(root, detail=False))
    seeds = [n for n in names if n[:5] == "seed_" and n[5:].isdecimal()]
    if not seeds:
        raise ValueError(f"training.start: {folder!r} has no checkpoints.")
    first = min(seeds, key=lambda name: int(name[5:]))
    found = open_trajectory(posixpath.join(training, first))
    chosen = int(step) if step.isdecimal() else found.steps[-1]
    if step and not step.isdecimal() or chosen not in found.steps:
        raise ValueError(
            f"training.start: {folder!r} has no step {step!r}; it has "
            f"{len(found.steps)} from {found.steps[0]} to {found.steps[-1]}."
        )
    return Start(
        text,
        TransformerConfig.from_dict(found.info["model"]),
        lambda: found.load(chosen),
        lambda: found.fingerprint(chosen),
    )


def _of_weights(text: str, source: str, revision: str | None) -> Start:
    load = find(READERS, "weights", kind="reader of checkpoints").build
    try:
        model = load(source, revision=revision)
    except (OSError, ValueError) as error:
        raise ValueError(f"training.start: {error}") from error
    if not isinstance(model, Transformer):
        raise ValueError(
            f"training.start: {text!r} holds no transformer to train but a "
            f"{type(model).__name__}."
        )
    name = lambda: digest_of(tensor_hashes(model))
    return Start(text, model.config, lambda: model, name)
