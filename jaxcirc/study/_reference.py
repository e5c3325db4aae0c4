"""What comparisons are with: the steps and runs that a reference names."""

import posixpath
from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import fsspec
import jax
import jax.numpy as jnp

from .._core import device_memory, stack_trees, tree_bytes, unknown
from ..checkpoints import CheckpointError, Trajectory, open_trajectory
from ..models import TransformerConfig
from ..tasks import AbstractTask
from ._measurements import AT_HAND, AbstractMeasurement

_WORDS = ("first", "last", "previous", "all", "layers")


class Target(NamedTuple):
    """What a measurement has observed at its reference, for every seed.

    With several steps (`all`) observations have an axis of them after that of seeds.
    """

    observed: Any = None
    steps: tuple[int, ...] = ()


def check_reference(
    measure: AbstractMeasurement, steps: Sequence[int], task: AbstractTask
) -> None:
    """Refuse a reference that does not exist or cannot be compared with.

    Args:
        measure: Whose reference.
        steps: Checkpoints of this run.
        task: Data that the reference must be able to read.

    Raises:
        ValueError: no such step, word or run (the message says what there is), or a run
            whose model lacks what is compared.
    """
    reference = measure.reference
    if reference in AT_HAND or reference in _WORDS:
        return
    if isinstance(reference, int):
        if reference not in steps:
            near = min(steps, key=lambda s: abs(s - reference))
            raise ValueError(
                f"reference: no checkpoint at step {reference}; the nearest is {near}."
            )
        return
    assert reference is not None
    if "/" not in reference and "@" not in reference:
        words = [*_WORDS, "a step", "a run's folder such as runs/NAME@STEP"]
        raise ValueError(unknown("reference", reference, words))
    others, _ = _other_run(reference)
    config = TransformerConfig.from_dict(others[0].info["model"])
    if config.d_vocab < task.d_vocab or config.n_ctx < task.n_ctx:
        raise ValueError(
            f"reference: the model of {reference!r} has {config.d_vocab} tokens and a "
            f"context of {config.n_ctx}; this task needs {task.d_vocab} and "
            f"{task.n_ctx}."
        )
    try:
        measure.check(config, task)
    except ValueError as error:
        raise ValueError(f"reference {reference!r}: {error}") from error


def observe_target(
    measure: AbstractMeasurement,
    wanted: Sequence[int],
    trajectories: Sequence[Trajectory],
    task: AbstractTask,
    key: jax.Array,
) -> Target:
    """Load the reference's checkpoints and keep what the measurement needs of them.

    Args:
        measure: Whose reference.
        wanted: Steps that it is taken at, which are the reference if that is `all`.
        trajectories: This run's, one per seed.
        task: Data.
        key: Of the measurement.

    Raises:
        ValueError: observations of all steps would not fit the memory.
    """
    trajectories, steps = reference_steps(measure, wanted, trajectories)
    if not steps:
        return Target()

    @eqx.filter_jit
    def observe(models, task, key):
        with jax.default_matmul_precision("highest"):
            return jax.lax.map(lambda m: measure.observe(m, task, key=key), models)

    found = []
    for models in zip(*(t.stream(steps) for t in trajectories), strict=True):
        found.append(observe(stack_trees([model for _, model in models]), task, key))
        if len(found) == 1:
            _check_memory(tree_bytes(found[0]) * len(steps), len(steps))
    if measure.reference != "all":
        return Target(found[0])
    return Target(jax.tree.map(lambda *xs: jnp.stack(xs, axis=1), *found), steps)


def reference_steps(
    measure: AbstractMeasurement,
    wanted: Sequence[int],
    trajectories: Sequence[Trajectory],
) -> tuple[Sequence[Trajectory], tuple[int, ...]]:
    """The trajectories and steps that a measurement's reference names.

    No steps where it compares with nothing, or with what a snapshot has at hand.

    Args:
        measure: Whose reference.
        wanted: Steps that it is taken at, which are the reference if that is `all`.
        trajectories: This run's, one per seed.

    Raises:
        ValueError: the run that the reference names is not there, or lacks the step.
    """
    reference = measure.reference
    if reference in AT_HAND:
        return trajectories, ()
    if isinstance(reference, str) and reference not in _WORDS:
        others, step = _other_run(reference)
        # A run with fewer seeds is compared with by its first.
        seeds = range(len(trajectories))
        return [others[i] if i < len(others) else others[0] for i in seeds], (step,)
    if reference == "all":
        return trajectories, tuple(wanted)
    every = trajectories[0].steps
    step = {"first": every[0], "last": every[-1]}.get(reference, reference)  # pyright: ignore
    return trajectories, (step,)


def _other_run(reference: str) -> tuple[list[Trajectory], int]:
    folder, at, step = reference.rpartition("@")
    if not at:
        folder, step = reference, ""
    training = posixpath.join(folder, "training")
    fs, root = fsspec.core.url_to_fs(training)
    names = []
    if fs.isdir(root):
        names = [posixpath.basename(p) for p in fs.ls(root, detail=False)]
    seeds = sorted(
        (n for n in names if n[:5] == "seed_" and n[5:].isdecimal()),
        key=lambda n: int(n[5:]),
    )
    if not seeds:
        raise ValueError(
            f"reference: {folder!r} holds no run; give a folder that `jaxcirc run` has "
            "written, such as runs/induction, or a step of this run."
        )
    try:
        found = [open_trajectory(posixpath.join(training, name)) for name in seeds]
    except CheckpointError as error:
        raise ValueError(f"reference: {error}") from error
    steps = found[0].steps
    chosen = int(step) if step.isdigit() else steps[-1]
    if step and not step.isdigit() or chosen not in steps:
        raise ValueError(
            f"reference: {folder!r} has no step {step!r}; it has {len(steps)} from "
            f"{steps[0]} to {steps[-1]}."
        )
    return found, chosen


def _check_memory(needed: int, steps: int) -> None:
    available = device_memory()
    if available is not None and needed > 0.5 * available:
        raise ValueError(
            f"reference 'all': what is compared takes {needed / 1e9:.3g} GB at {steps} "
            f"steps, more than half of this device's {available / 1e9:.3g} GB. Take "
            "fewer `n_examples`, components or `steps`."
        )
