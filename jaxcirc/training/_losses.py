"""The record of every training loss."""

import posixpath

import fsspec
import jax
import numpy as np
from jaxtyping import Float

from ..checkpoints import load_tensors, save_tensors

FILE = "losses.safetensors"


def write_losses(folder: str, losses: Float[np.ndarray, "seed step"]) -> None:
    """Save the losses so far; later steps are NaN.

    Args:
        folder: What `train` was given.
        losses: The loss of every seed and update.
    """
    # What is still to come is NaN, and no fault that `jax_debug_nans` should find.
    with jax.debug_nans(False):
        record = {"loss": jax.numpy.asarray(losses)}
    save_tensors(posixpath.join(folder, FILE), record)


def read_losses(
    folder: str, *, seeds: int, steps: int
) -> Float[np.ndarray, "seed step"]:
    """The loss before each update, NaN where training has not come.

    It is in the objective's units: nats for cross-entropy, on that update's batch. The
    record is written with every checkpoint, and NaN throughout before the first.

    Args:
        folder: What `train` was given.
        seeds: Models trained.
        steps: Updates planned.

    Returns:
        One row for each seed, which may be written to.

    Raises:
        CheckpointError: the record is damaged or of another run.

    Example:
        >>> import tempfile
        >>> losses = read_losses(tempfile.mkdtemp(), seeds=2, steps=3)
        >>> losses.shape, float(losses[0, 0])
        ((2, 3), nan)
    """
    fs, root = fsspec.core.url_to_fs(folder)
    if not fs.exists(posixpath.join(root, FILE)):
        return np.full((seeds, steps), np.nan, np.float32)
    like = {"loss": jax.ShapeDtypeStruct((seeds, steps), np.float32)}
    # A copy: JAX's own buffer is read-only.
    return np.array(load_tensors(posixpath.join(folder, FILE), like)["loss"])
