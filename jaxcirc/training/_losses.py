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
        folder: The folder that `train` was given.
        losses: The loss of every seed before every update.
    """
    # What is still to come is NaN, and no fault that `jax_debug_nans` should find.
    with jax.debug_nans(False):
        record = {"loss": jax.numpy.asarray(losses)}
    save_tensors(posixpath.join(folder, FILE), record)


def read_losses(
    folder: str, *, seeds: int, steps: int
) -> Float[np.ndarray, "seed step"]:
    """The loss before each update; NaN where training has not come.

    It is the mean objective of each seed's batch at that update: cross-entropy, in
    nats, unless `train` was given another objective, whose units it then has. `train`
    writes the record with every checkpoint, so a run that was killed lacks its last
    minute at most, and goes on to fill it. A folder without a record has trained
    nothing: all NaN.

    Args:
        folder: The folder that `train` was given.
        seeds: Number of models trained.
        steps: Number of updates planned.

    Returns:
        A new array that may be written to.

    Raises:
        CheckpointError: the record is damaged or of another run.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_losses(folder, seeds=1, steps=3)
        array([[nan, nan, nan]], dtype=float32)
    """
    fs, root = fsspec.core.url_to_fs(folder)
    if not fs.exists(posixpath.join(root, FILE)):
        return np.full((seeds, steps), np.nan, np.float32)
    like = {"loss": jax.ShapeDtypeStruct((seeds, steps), np.float32)}
    # A copy: JAX's own buffer is read-only.
    return np.array(load_tensors(posixpath.join(folder, FILE), like)["loss"])
