"""The checkpoints that rows look at, in order of steps, each read once."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from .._core import named_leaves, stack_trees
from ..checkpoints import CheckpointError, Trajectory


class Loaded(NamedTuple):
    """The checkpoint of one step, of all seeds.

    Args:
        step: The training step.
        model: The models of all seeds; arrays have a leading axis of seeds.
        previous: The checkpoint before it; None if there is none, if it cannot be read,
            or if nobody looks back.
    """

    step: int
    model: Any
    previous: Any = None


class Unreadable(NamedTuple):
    """A step whose checkpoint cannot be read.

    Args:
        step: The training step.
        error: Why it cannot be read.
    """

    step: int
    error: CheckpointError


def stream_snapshots(
    trajectories: Sequence[Trajectory],
    wanted: Sequence[int],
    *,
    look_back: bool,
    broken: Literal["raise", "give"],
) -> Iterator[Loaded | Unreadable]:
    """Wanted steps in order, all seeds stacked, and if asked the checkpoint before.

    In memory are the checkpoint handed out, the one being read and, if asked for, the
    one before.

    Args:
        trajectories: One per seed.
        wanted: Steps.
        look_back: Whether anybody needs the checkpoint before.
        broken: What to do with a checkpoint that cannot be read: raise the error, or
            give it in the checkpoint's place.

    Raises:
        CheckpointError: a checkpoint is damaged, if `broken` says so.
    """
    every = trajectories[0].steps
    # In the trajectory, whichever steps are wanted: a change is since the last
    # checkpoint.
    before = {s: every[max(i - 1, 0)] for i, s in enumerate(every)}
    needed = sorted({*wanted, *(before[s] for s in wanted if look_back)})
    streams = [t.stream(needed, broken=broken) for t in trajectories]
    previous: Any = None
    for step in needed:
        read = [next(stream)[1] for stream in streams]
        errors = [x for x in read if isinstance(x, CheckpointError)]
        if errors:
            if step in wanted:
                yield Unreadable(step, errors[0])
            previous = None
            continue
        model = stack_trees(read)
        # Held on to, the seeds would be in memory twice while the caller measures.
        del read
        if step in wanted:
            yield Loaded(step, model, previous if step > every[0] else None)
        previous = model if look_back else None
        del model


def non_finite_weights(loaded: Loaded) -> dict[str, str]:
    """Attributes of the cells of a checkpoint with weights that are not finite."""
    leaves = {
        name: leaf
        for name, leaf in named_leaves(loaded.model).items()
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
    }
    # One transfer of single numbers, whatever the size of the weights.
    finite = jax.device_get(_all_finite(leaves))
    names = [name for name, good in finite.items() if not good]
    if not names:
        return {}
    some = ", ".join(names[:4]) + (" and more" if len(names) > 4 else "")
    said = f"the checkpoint has weights that are not finite: {some}"
    return {"non_finite": some, "failed": said}


@jax.jit
def _all_finite(leaves: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Whether each leaf is finite, in one program for all."""
    return {name: jnp.isfinite(leaf).all() for name, leaf in leaves.items()}
