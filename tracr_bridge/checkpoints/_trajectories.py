"""Published training runs as trajectories: hub revisions, folders, files."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from jaxcirc.checkpoints import Trajectory, open_trajectory
from jaxcirc.models import TransformerConfig

from ._chosen_steps import chosen_steps
from ._hub_series import hub_series
from ._local_runs import local_series
from ._series import Reading, checked
from ._sources import located
from ._watched import watched
from .families import Rule


def trajectory(
    source: str | os.PathLike[str],
    *,
    schedule: str | None = None,
    steps: Sequence[int] | Mapping[int, str] | None = None,
    pattern: str | None = None,
    branch: str | None = None,
    dtype: str | None = "float32",
    cache: str | None = None,
    keep: int | None = None,
    cfg: Mapping[str, Any] | None = None,
    ignore: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
    config: TransformerConfig | None = None,
    rules: Sequence[Rule] | None = None,
) -> Trajectory:
    """The checkpoints of a training run, each read when asked for.

    Steps that hold the same weights are found out as they are read: a warning names
    them, and `trajectory.info["identical"]` lists them.

    Args:
        source: A hub id whose branches are named after steps (Pythia, OLMo,
            stanford-crfm, Amber and others); a folder of checkpoint folders; a run
            folder of pico-train; a folder of `.safetensors`, `.npz`, `.pt` or `.ckpt`
            files of TransformerLens weights, or one `.npz` with a group for each step;
            or a native trajectory.
        schedule: Only the steps of a named schedule (`jaxcirc.checkpoints.SCHEDULES`)
            that there are.
        steps: Only these; or step -> name of the revision, folder, file or group, where
            names do not tell.
        pattern: A regular expression that names must contain, such as `^stage1-`; its
            first group, if it has one, is the step.
        branch: A branch of the hub whose commits are the checkpoints, as pico-train
            pushes them.
        dtype: The type of the weights; None keeps the checkpoints' own.
        cache: Where downloads go; the hub's usual cache if None.
        keep: Downloaded checkpoints to keep on disk at most; all if None.
        cfg: For TransformerLens weights, what `from_transformer_lens` takes.
        ignore: Patterns (regular expressions) of tensors to leave out.
        names: Pattern -> replacement, for tensors that have another name there.
        config: The model's config, for files of weights of one's own.
        rules: What their tensors hold, as `from_tensors` takes it.

    Returns:
        The steps, and a function that reads one. A step that cannot be read is a
        `CheckpointError` when it is asked for, and the others stay readable.

    Raises:
        CheckpointError: the source cannot be reached or holds no checkpoints.
        ValueError: a step or name is not there, two names have one step, or an option
            is none that can be followed.

    Example:
        >>> import jax.random as jr, tempfile
        >>> from jaxcirc.models import MODELS, Transformer
        >>> from tracr_bridge import save, trajectory
        >>> gpt2 = next(row for row in MODELS if row.name == "gpt2")
        >>> config = gpt2.build(d_vocab=7, n_ctx=8, n_layers=1, d_model=8, n_heads=2)
        >>> folder = tempfile.mkdtemp()
        >>> for step in (0, 100):
        ...     save(Transformer(config, key=jr.key(step)), f"{folder}/step{step}")
        >>> trajectory(folder).steps
        (0, 100)
    """
    source = located(source)
    reading = checked(
        Reading(dtype, cfg, tuple(ignore), names, config, tuple(rules or ()))
    )
    if keep is not None and keep < 1:
        raise ValueError(f"trajectory: `keep` must be at least 1; got {keep}.")
    given = steps if isinstance(steps, Mapping) else None
    if os.path.exists(os.path.join(source, "trajectory.json")):
        native = open_trajectory(source)
        found = {step: str(step) for step in native.steps}
        return native.only(chosen_steps(source, found, schedule, steps))
    if os.path.exists(source):
        series = local_series(source, given, pattern, reading)
    else:
        series = hub_series(source, given, pattern, branch, reading, cache, keep)
    return watched(source, series, chosen_steps(source, series.names, schedule, steps))
