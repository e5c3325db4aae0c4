"""Weights that a training starts from: a run's step, a folder or the hub."""

from collections.abc import Callable
from typing import Any, NamedTuple

from ..._core import digest_of, find
from ...checkpoints import READERS, Trajectory, tensor_hashes
from ...models import Transformer, TransformerConfig
from .._run_folder import seeds_of_run


class Start(NamedTuple):
    """One model to start from.

    Args:
        name: What the study calls it.
        config: The model's config.
        load: () -> the model.
        fingerprint: () -> a short name for its weights.
    """

    name: str
    config: TransformerConfig
    load: Callable[[], Transformer]
    fingerprint: Callable[[], str]

    def record(self) -> dict[str, Any]:
        """The part of a run's identity that says whose weights it started from."""
        return {"name": self.name, "weights": self.fingerprint()}


def find_start(text: str) -> Start:
    """The weights that `training.start` names.

    Args:
        text: `runs/NAME`, `runs/NAME@STEP`, a folder or file of weights, or an id of
            the HuggingFace hub with or without `@REVISION`.

    Raises:
        ValueError: there is no such run, step or model, or it is damaged.
    """
    # From the right: a folder may have the sign in its name.
    folder, at, step = text.rpartition("@")
    if not at:
        folder, step = text, ""
    seeds = seeds_of_run(folder)
    if seeds:
        return _of_run(text, folder, step, seeds[min(seeds)])
    return _of_weights(text, folder, step or None)


def _of_run(text: str, folder: str, step: str, found: Trajectory) -> Start:
    """Weights of a step of another run.

    Raises:
        ValueError: the run has no such step.
    """
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
    """Weights of a folder, a file or the hub.

    Raises:
        ValueError: they cannot be read, or are no transformer.
    """
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
    # By the weights and not by their address, where others may be put.
    name = lambda: digest_of(tensor_hashes(model))
    return Start(text, model.config, lambda: model, name)
