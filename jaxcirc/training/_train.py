"""Training of transformers: call the loop, save, go on after a stop."""

import posixpath
import time
from collections.abc import Callable

import fsspec
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PyTree

from .._core import Objective, create_folder, lock_folder, require_loss
from ..checkpoints import (
    Trajectory,
    TrajectoryWriter,
    load_tensors,
    open_trajectory,
    save_tensors,
)
from ..models import Transformer, TransformerConfig
from ..objectives import CrossEntropy
from ..tasks import AbstractTask
from ._advance import Lesson, State, init_state, make_loop
from ._calls import Call, calls
from ._config import Training
from ._losses import read_losses, write_losses

STATE = "state.safetensors"
# A run without a checkpoint due for long saves its state in between.
SECONDS_BETWEEN_STATES = 60.0

Progress = Callable[[int, float], None]


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; what was saved before is good.

    The files of the step itself are removed, since its weights gave no finite loss.

    Args:
        step: The update whose loss was not finite; kept as an attribute.
        seed: The model that it happened to; kept as an attribute.
        kept: The last step whose checkpoint is kept.
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
    objective: Objective | None = None,
    start: Transformer | None = None,
    on_progress: Progress | None = None,
) -> list[Trajectory]:
    """Train models and save their checkpoints; go on where an earlier call stopped.

    A run that was killed at any moment and started again ends in the same weights, bit
    for bit, on the same machine.

    Args:
        config: The model.
        task: Where the examples are from.
        training: Optimiser, length, seeds and checkpoints.
        folder: Where to put `seed_N/` trajectories, the state and the losses.
        objective: What to make smaller, `CrossEntropy()` unless given: an objective,
            or a function of a model and a `Batch` that gives a loss for each example.
            The folder records its name alone.
        start: Weights that every seed starts from, instead of fresh ones; seeds then
            differ in their batches alone. Half precision is continued in float32, and
            so are its checkpoints: updates are smaller than what it could hold.
        on_progress: Called with (step, mean loss) now and then.

    Returns:
        One trajectory per seed.

    Raises:
        ValueError: the task has no finite train split although `batch_size` is None, a
            `freeze` pattern matches nothing, `start` has another config, or
            `objective` is higher for a better model.
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
    objective = CrossEntropy() if objective is None else objective
    require_loss(objective, who="training")
    create_folder(folder)
    with lock_folder(folder, who="train"):
        lesson = Lesson(task, objective)
        return _train(config, lesson, training, folder, start, on_progress)


def _train(
    config: TransformerConfig,
    lesson: Lesson,
    training: Training,
    folder: str,
    start: Transformer | None,
    on_progress: Progress | None,
) -> list[Trajectory]:
    state = init_state(config, training, start)
    paths = [posixpath.join(folder, f"seed_{seed}") for seed in state.seed.tolist()]
    writers = [
        TrajectoryWriter(path, config, {"seed": seed, **_record(lesson)})
        for path, seed in zip(paths, state.seed.tolist(), strict=True)
    ]
    losses = read_losses(folder, seeds=training.seeds, steps=training.steps)
    fs, root = fsspec.core.url_to_fs(folder)
    if fs.exists(posixpath.join(root, STATE)):
        state = load_tensors(posixpath.join(folder, STATE), state)
    else:
        _save(folder, writers, state, losses, checkpoint=True)
    _advance_to_end(lesson, training, folder, writers, state, losses, on_progress)
    return [open_trajectory(path) for path in paths]


def _record(lesson: Lesson) -> dict[str, str]:
    # Cross-entropy is not named, as it is not in folders of earlier versions.
    if isinstance(lesson.objective, CrossEntropy):
        return {}
    named = getattr(lesson.objective, "__name__", type(lesson.objective).__name__)
    return {"objective": named}


def _advance_to_end(
    lesson: Lesson,
    training: Training,
    folder: str,
    writers: list[TrajectoryWriter],
    state: State,
    losses: np.ndarray,
    on_progress: Progress | None,
) -> None:
    stops, begun = training.checkpoint_steps, int(state.step[0])
    saved_at = time.monotonic()
    for call in calls(make_loop(training), state, stops, step=begun, shared=lesson):
        if call.diverged is not None:
            _stop_at_divergence(call, writers)
        losses[:, call.step - call.losses.shape[1] : call.step] = call.losses
        if on_progress is not None:
            on_progress(call.step, float(call.losses[:, -1].mean()))
        due = call.step in stops
        if due or time.monotonic() - saved_at > SECONDS_BETWEEN_STATES:
            _save(folder, writers, call.state, losses, checkpoint=due)
            saved_at = time.monotonic()


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
        models = state.model
        for i, writer in enumerate(writers):
            writer.save(step, _member(models, i))
    write_losses(folder, losses)
    save_tensors(posixpath.join(folder, STATE), state)


def _stop_at_divergence(call: Call, writers: list[TrajectoryWriter]) -> None:
    assert call.diverged is not None
    member, step = call.diverged
    # The checkpoint of this very step holds the weights that gave no finite loss.
    for writer in writers:
        writer.discard(step)
    raise TrainingDiverged(step, int(call.state.seed[member]), writers[0].steps[-1])


def _require_finite(state: State, writers: list[TrajectoryWriter]) -> None:
    # No loss follows the last update, so its weights are looked at themselves.
    finite = jax.device_get(_finite(state.params, state.seed))
    for seed, good in zip(state.seed.tolist(), finite, strict=True):
        if not good:
            raise TrainingDiverged(int(state.step[0]), seed, writers[0].steps[-1])


# Programs of all arrays, where each shape would take several of its own.
@jax.jit
def _member(models: Transformer, place: int | Int[Array, ""]) -> Transformer:
    """One of several models."""
    return jax.tree.map(lambda x: x[place], models)


@jax.jit
def _finite(params: PyTree, seeds: Int[Array, " seed"]) -> Bool[Array, " seed"]:
    """Whether the weights of each seed are numbers."""
    finite = jnp.ones(seeds.shape, bool)
    for x in jax.tree.leaves(params):
        finite &= jnp.isfinite(x).reshape(len(x), -1).all(axis=1)
    return finite
