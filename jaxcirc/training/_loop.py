"""The outer loop of training: call the compiled part, save, go on after a stop."""

import posixpath
import time
from collections.abc import Callable

import fsspec
import jax
import jax.numpy as jnp
import numpy as np

from .._core import create_folder, lock_folder
from ..checkpoints import (
    Trajectory,
    TrajectoryWriter,
    load_tensors,
    open_trajectory,
    save_tensors,
)
from ..models import Transformer, TransformerConfig
from ..tasks import AbstractTask
from ._advance import CALL_STEPS, State, init_state, make_advance
from ._config import Training
from ._losses import read_losses, write_losses

STATE = "state.safetensors"
# A call to the device should take about this long: often enough for a progress bar,
# rarely enough that waiting for it costs nothing.
SECONDS_PER_CALL = 0.5
# A run without a checkpoint due for long saves its state in between.
SECONDS_BETWEEN_STATES = 60.0

Progress = Callable[[int, float], None]


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; what was saved before is good.

    Attributes:
        step: The update whose loss was not finite.
        seed: The model it happened to.
    """

    def __init__(self, step: int, seed: int, kept: int):
        self.step, self.seed = step, seed
        super().__init__(
            f"training: the loss of seed {seed} was not finite at step {step}. The "
            f"checkpoints up to step {kept} are kept. Lower `training.learning_rate`, "
            "set `training.clip`, or lengthen `training.warmup`."
        )


def train(
    config: TransformerConfig,
    task: AbstractTask,
    training: Training,
    folder: str,
    *,
    start: Transformer | None = None,
    on_progress: Progress | None = None,
) -> list[Trajectory]:
    """Train models and save their checkpoints; go on where an earlier call stopped.

    A run that was killed at any moment and started again ends in the same weights, bit
    for bit, on the same machine.

    Args:
        config: The model.
        task: What to learn.
        training: How.
        folder: Where to put `seed_N/` trajectories, the state and the losses.
        start: Weights that every seed starts from, instead of fresh ones; seeds then
            differ in their batches alone. Half precision is continued in float32, and
            so are its checkpoints: updates are smaller than what it could hold.
        on_progress: Called with (step, mean loss) now and then.

    Returns:
        One trajectory per seed.

    Raises:
        ValueError: the task has no finite train split although `batch_size` is None, a
            `freeze` pattern matches nothing, or `start` has another config.
        TrainingDiverged: a loss was not finite.
        CheckpointError: the folder holds another run, or a damaged file.
        FolderLocked: another process is training into the folder.
        OSError: the folder cannot be written.
    """
    if training.batch_size is None and task.examples("train") is None:
        raise ValueError(
            "training: `batch_size` is null, which takes the whole train split, but "
            "this task's examples have no end. Give a number."
        )
    if start is not None and start.config != config:
        raise ValueError(
            f"training: `start` has the config {start.config}, and the model to train "
            f"{config}. Give `start.config`."
        )
    create_folder(folder)
    with lock_folder(folder, who="train"):
        return _train(config, task, training, folder, start, on_progress)


def _train(
    config: TransformerConfig,
    task: AbstractTask,
    training: Training,
    folder: str,
    start: Transformer | None,
    on_progress: Progress | None,
) -> list[Trajectory]:
    state = init_state(config, training, start)
    paths = [posixpath.join(folder, f"seed_{seed}") for seed in state.seed.tolist()]
    writers = [
        TrajectoryWriter(path, config, {"seed": seed})
        for path, seed in zip(paths, state.seed.tolist(), strict=True)
    ]
    losses = read_losses(folder, seeds=training.seeds, steps=training.steps)
    fs, root = fsspec.core.url_to_fs(folder)
    if fs.exists(posixpath.join(root, STATE)):
        state = load_tensors(posixpath.join(folder, STATE), state)
    else:
        _save(folder, writers, state, losses, checkpoint=True)
    _advance_to_end(task, training, folder, writers, state, losses, on_progress)
    return [open_trajectory(path) for path in paths]


def _advance_to_end(
    task: AbstractTask,
    training: Training,
    folder: str,
    writers: list[TrajectoryWriter],
    state: State,
    losses: np.ndarray,
    on_progress: Progress | None,
) -> None:
    advance = make_advance(training)
    step, call_steps = int(state.step[0]), 1
    saved_at = time.monotonic()
    for target in (s for s in training.checkpoint_steps if s > step):
        while step < target:
            n = min(call_steps, target - step)
            began = time.monotonic()
            state, some = advance(task, state, jnp.int32(n))
            some = np.asarray(some)[:, :n]
            if not np.isfinite(some).all():
                _stop_at_divergence(some, step, state, writers)
            losses[:, step : step + n] = some
            step += n
            call_steps = _next_length(n, time.monotonic() - began)
            if on_progress is not None:
                on_progress(step, float(some[:, -1].mean()))
            if step == target or time.monotonic() - saved_at > SECONDS_BETWEEN_STATES:
                _save(folder, writers, state, losses, checkpoint=step == target)
                saved_at = time.monotonic()


def _next_length(n: int, seconds: float) -> int:
    # At most eightfold, since the first call includes the compilation.
    fitting = int(n * SECONDS_PER_CALL / max(seconds, 1e-6))
    return min(max(fitting, 1), 8 * n, CALL_STEPS)


def _save(
    folder: str,
    writers: list[TrajectoryWriter],
    state: State,
    losses: np.ndarray,
    *,
    checkpoint: bool,
) -> None:
    # The state comes last: until it is there, a restart repeats what led to the rest.
    if checkpoint:
        _require_finite(state, writers)
        step = int(state.step[0])
        for i, writer in enumerate(writers):
            writer.save(step, jax.tree.map(lambda x, i=i: x[i], state.model))
    write_losses(folder, losses)
    save_tensors(posixpath.join(folder, STATE), state)


def _stop_at_divergence(
    some: np.ndarray, step: int, state: State, writers: list[TrajectoryWriter]
) -> None:
    finite = np.isfinite(some)
    # Of several models, the first to go.
    first_bad = np.where(finite.all(axis=1), some.shape[1], finite.argmin(axis=1))
    worst = int(first_bad.argmin())
    diverged = step + int(first_bad[worst])
    # The checkpoint of this very step holds the weights that gave no finite loss.
    for writer in writers:
        writer.discard(diverged)
    raise TrainingDiverged(diverged, int(state.seed[worst]), writers[0].steps[-1])


def _require_finite(state: State, writers: list[TrajectoryWriter]) -> None:
    # No loss follows the last update, so its weights are looked at themselves.
    for i, seed in enumerate(state.seed.tolist()):
        leaves = [leaf[i] for leaf in jax.tree.leaves(state.params)]
        if not all(bool(jnp.isfinite(leaf).all()) for leaf in leaves):
            raise TrainingDiverged(int(state.step[0]), seed, writers[0].steps[-1])
