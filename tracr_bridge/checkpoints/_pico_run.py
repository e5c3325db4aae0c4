"""What pico-train keeps of a checkpoint's learning dynamics, read without PyTorch.

It stores for three matrices of each layer the weights, the gradients and what they put
out for one position of every example. Two faults of its files are put right here.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import yaml
from jaxtyping import Float

from jaxcirc.checkpoints import CheckpointError
from jaxcirc.checkpoints.formats import open_torch

_LAYER = re.compile(r"(layers\.\d+\..+)$")


class PicoDynamics(NamedTuple):
    """Learning dynamics of one step, by names such as `layers.0.attention.v_proj`.

    Args:
        weights: Matrices, outputs first.
        gradients: Gradients of the mean loss over the batch where `gradient_scale` is
            known, else as they were stored.
        activations: Outputs of each matrix, an example per row.
        gradient_scale: What the stored gradients were divided by: they are sums over
            sub-batches of mean losses. None where several devices took part and it is
            not known.
        unscrambled: Whether activations had been stored in the order that pico-train
            gives them on one device, and were put right.
    """

    weights: Mapping[str, Float[np.ndarray, "out in"]]
    gradients: Mapping[str, Float[np.ndarray, "out in"]]
    activations: Mapping[str, Float[np.ndarray, "example out"]]
    gradient_scale: float | None
    unscrambled: bool


def pico_dynamics(
    folder: str,
    *,
    split: Literal["train", "val"] = "train",
    config: Mapping[str, Any] | None = None,
) -> PicoDynamics:
    """The learning dynamics of a checkpoint folder of pico-train.

    pico-train keeps, for three matrices of each layer, the weights, the gradients and
    the outputs at one position of every example of a fixed batch. Two faults of its
    files are put right where one device took part: gradients become those of a mean
    over the batch, and activations get back the order of their axes. PyTorch is not
    needed.

    Args:
        folder: A `checkpoints/step_N` of a run; its `learning_dynamics` is read.
        split: The data that they were taken on. pico-train writes no `train` at its
            last step.
        config: The run's `training_config.yaml`, parsed; looked for two folders above
            if None. It says how many devices there were and how large sub-batches.

    Returns:
        Weights, gradients and activations by matrix, and what was put right.

    Raises:
        CheckpointError: a file is missing or damaged.
        ValueError: the config does not say the devices or the sub-batches.
    """
    if config is None:
        config = _read_config(folder)
    devices, sub_batch = _setup(config)

    def read(kind: str) -> dict[str, np.ndarray]:
        path = os.path.join(folder, "learning_dynamics", f"{split}_{kind}.pt")
        try:
            tensors = open_torch(path)
        except FileNotFoundError as error:
            raise CheckpointError(f"{path} is missing.") from error
        named = {m[1]: key for key in tensors if (m := _LAYER.search(key))}
        return {name: np.asarray(tensors[key]) for name, key in named.items()}

    activations, gradients = read("activations"), read("gradients")
    scale = None
    # How the parts of several devices were put together is not known.
    if devices == 1:
        activations = {k: _unscramble(x, sub_batch) for k, x in activations.items()}
        count = len(next(iter(activations.values()))) if activations else 0
        # With a smaller sub-batch at the end, no single number divides the sum.
        if count and count % sub_batch == 0:
            scale = count / sub_batch
            gradients = {k: g / g.dtype.type(scale) for k, g in gradients.items()}
    return PicoDynamics(read("weights"), gradients, activations, scale, devices == 1)


def _unscramble(x: np.ndarray, sub_batch: int) -> np.ndarray:
    """Undo, for each sub-batch, a transpose that was read in the wrong order."""
    blocks = [x[i : i + sub_batch] for i in range(0, len(x), sub_batch)]
    return np.concatenate([b.reshape(b.shape[1], b.shape[0]).T for b in blocks])


def _read_config(folder: str) -> Mapping[str, Any]:
    """The training config of the run that a checkpoint folder belongs to.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    path = os.path.join(folder, "..", "..", "training_config.yaml")
    path = os.path.normpath(path)
    try:
        with open(path, encoding="utf-8") as file:
            config = yaml.safe_load(file)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is missing; give `config`, or `folder` as a checkpoint of a whole "
            "run (RUN/checkpoints/step_N)."
        ) from error
    except yaml.YAMLError as error:
        raise CheckpointError(f"{path} is damaged: {error}.") from error
    return config if isinstance(config, dict) else {}


def _setup(config: Mapping[str, Any]) -> tuple[int, int]:
    """The devices in all, and the examples of a sub-batch on each.

    Raises:
        ValueError: the config does not say them, or they do not fit each other.
    """
    try:
        fabric = config["training"]["fabric"]
        devices = int(fabric.get("num_nodes", 1)) * int(fabric["num_devices"])
        size = int(config["checkpointing"]["learning_dynamics"]["batch_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "pico_dynamics: the config must say training.fabric.num_devices and "
            f"checkpointing.learning_dynamics.batch_size; it lacks {error}."
        ) from error
    if devices < 1 or size < devices:
        raise ValueError(
            f"pico_dynamics: {devices} devices and sub-batches of {size} in all do not "
            "fit each other."
        )
    return devices, size // devices
