"""Training of dictionaries: call the program, look at it, save, go on after a stop."""

import hashlib
import posixpath
import time
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import fsspec
import jax
import jax.random as jr
import numpy as np
from jaxtyping import Array, Key

from .._core import create_folder, fold_name, lock_folder
from ..checkpoints import CheckpointError, load_tensors, recorded_entry, save_tensors
from ..models import Transformer
from ._architecture import AbstractArchitecture
from ._dictionary import Dictionary
from ._fate import require_alive, require_sound
from ._member import Record
from ._prepare import prepared, started
from ._program import Lesson, Plan, TrainingState, advance, begin, finish
from ._trained import Trained
from ._training import Training

STATE = "dictionaries.state.safetensors"
SECONDS_BETWEEN_STATES = 60.0

Progress = Callable[[int, float], None]

_begin_jit = eqx.filter_jit(begin)
_finish_jit = eqx.filter_jit(finish)


# Of the arguments Equinox donates all but the first, so what is kept is one.
@eqx.filter_jit(donate="all-except-first")
def _advance_jit(kept: tuple[Plan, Lesson], state: TrainingState):
    return advance(*kept, state)


def train(
    config: AbstractArchitecture | Sequence[AbstractArchitecture],
    models: Transformer | Sequence[Transformer] | None,
    site: str | Sequence[str] | None,
    data: Any,
    training: Training,
    *,
    key: Key[Array, ""],
    target: str | Sequence[str] | None = None,
    over: str | None = None,
    start: Dictionary | None = None,
    folder: str | None = None,
    on_progress: Progress | None = None,
) -> Trained:
    """Train dictionaries on activations, all of them in one compiled program.

    The program fills a buffer with activations, which models compute as they are
    needed, and makes updates of every dictionary from what the buffer serves; the host
    sees the records of some steps at a time. Along `checkpoint`, `layer` or `site`,
    `config` and `seed` there is a dictionary for each combination. All of them see the
    same tokens in the same order, and those of one seed begin with the same directions,
    so latents can be compared across checkpoints and layers.

    Args:
        config: The architecture; or several of one size, such as of different k.
        models: One model, a sequence or a stack of checkpoints; None where `data` are
            activations.
        site: Where to read them, such as `resid_post` for all layers,
            `blocks.2.hook_mlp_out` for one, or several names.
        data: A task; token ids [example, pos]; without models activations [row, d], a
            `.npy` file of them, a pair (inputs, targets) or anything with a method
            `sample(n, key=)`, such as `planted` gives.
        training: Length, optimiser, buffer and seeds.
        key: Random key of directions, data and their order.
        target: For transcoders, the site whose activations are to be given.
        over: For crosscoders, the axis whose sites share latents, where more than one
            has the right length.
        start: A dictionary to begin with, such as that of the checkpoint before, so
            that latents keep their index; one for all, or with the axes of the result.
        folder: Where to keep the state, once a minute and at the end. A call with the
            same arguments goes on from there, and ends in the same bits.
        on_progress: Called with (step, mean loss) now and then.

    Returns:
        The dictionaries, which take activations as the models give them, and the
        records of all steps.

    Raises:
        ValueError: sizes, sites or data do not fit, there is too little of the data,
            an activation is not finite, or memory cannot hold the dictionaries.
        TrainingFailed: a loss was not finite, or no latent or nearly every latent fires
            after a quarter of the training in every dictionary.
        CheckpointError: the folder holds the state of another training.

    Example:
        >>> import jax
        >>> from jaxcirc import saes
        >>> truth = saes.planted(12, 6, l0=2.0, key=jax.random.key(0))
        >>> training = saes.Training(steps=8, batch_size=16, buffer_batches=4)
        >>> config = saes.TopK(d_in=6, d_sae=12, k=2)
        >>> found = saes.train(
        ...     config, None, None, truth, training, key=jax.random.key(1)
        ... )
        >>> found.history["l0"].tolist()
        [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    """
    plan, lesson, axes, shape = prepared(
        config, models, site, data, training, target, over, key
    )
    start = started(start, axes, shape)
    if folder is None:
        state, history = _trained(plan, lesson, start, None, key, on_progress)
    else:
        create_folder(folder)
        with lock_folder(folder, who="saes.train"):
            state, history = _trained(plan, lesson, start, folder, key, on_progress)
    dictionary = _finish_jit(plan, lesson, state)
    unfold = lambda x: x.reshape(*shape, *x.shape[1:])
    return Trained(
        jax.tree.map(unfold, dictionary),
        axes,
        {name: unfold(array) for name, array in history._asdict().items()},
    )


def _trained(
    plan: Plan,
    lesson: Lesson,
    start: Dictionary | None,
    folder: str | None,
    key: Key[Array, ""],
    on_progress: Progress | None,
) -> tuple[TrainingState, Record]:
    """The state after the last step, and the records of all."""
    shape = (plan.members, plan.training.steps)
    history = Record(*(np.full(shape, np.nan, np.float32) for _ in Record._fields))
    directions = fold_name(key, "dictionary")
    identity = _identity(plan, lesson, start)
    found = None if folder is None else _load(plan, lesson, start, folder, identity)
    if found is None:
        state = _begin_jit(plan, lesson, start, directions)
    else:
        state, history = found
    saved_at, step = time.monotonic(), int(state.step)
    while step < plan.training.steps:
        state, seen = _advance_jit((plan, lesson), state)
        seen = jax.device_get(seen)
        require_sound(seen, plan, step)
        begun, step = step, int(seen.step)
        for kept, new in zip(history, seen.records, strict=True):
            kept[:, begun:step] = new[:, : step - begun]
        require_alive(history, plan, lesson.fixed.config, begun, step)
        if on_progress is not None:
            on_progress(step, float(history.loss[:, step - 1].mean()))
        due = time.monotonic() - saved_at >= SECONDS_BETWEEN_STATES
        if folder is not None and (due or step == plan.training.steps):
            file = posixpath.join(folder, STATE)
            save_tensors(file, (state, history), {"training": identity})
            saved_at = time.monotonic()
    return state, history


def _identity(plan: Plan, lesson: Lesson, start: Dictionary | None) -> str:
    """A digest of whatever decides the numbers, up to models and data."""
    config = lesson.fixed.config
    facts = [
        *map(repr, (plan.training, plan.layout, plan.members, type(config))),
        *(f"{type(lesson.source).__name__} {lesson.source.axes} {lesson.source.most}",),
        *(np.asarray(x).tobytes().hex() for x in jax.tree.leaves(config)),
        jr.key_data(lesson.key).tolist(),
        start is None,
    ]
    return hashlib.blake2b(repr(facts).encode(), digest_size=12).hexdigest()


def _load(
    plan: Plan,
    lesson: Lesson,
    start: Dictionary | None,
    folder: str,
    identity: str,
) -> tuple[TrainingState, Record] | None:
    """What a folder has of this training; None if nothing yet."""
    file = posixpath.join(folder, STATE)
    fs, path = fsspec.core.url_to_fs(file)
    if not fs.exists(path):
        return None
    if recorded_entry(file, "training") != identity:
        raise CheckpointError(
            f"saes.train: {file} is the state of a training with other settings. Give "
            "another folder, or delete the file to begin anew."
        )
    like = eqx.filter_eval_shape(begin, plan, lesson, start, jr.key(0))
    sizes = (plan.members, plan.training.steps)
    shape: Any = jax.ShapeDtypeStruct(sizes, np.float32)
    history = Record(*(shape for _ in Record._fields))
    state, history = load_tensors(file, (like, history))
    return state, Record(*(np.array(x) for x in history))
