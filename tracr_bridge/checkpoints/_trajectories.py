"""Published training runs as trajectories: hub revisions, folders, files."""

import collections
import functools
import hashlib
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxcirc._core import named_leaves
from jaxcirc.checkpoints import CheckpointError, Trajectory, open_trajectory, schedule
from jaxcirc.models import Transformer, TransformerConfig

from . import _hub
from ._local_runs import local_series
from ._pretrained import CONFIG
from ._series import Reading, Series, checked
from ._sources import located
from ._tokenizer import read_tokenizer
from .families import Rule

# Values of each weight that are compared before whole models are.
_SAMPLE = 4096


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
    if os.path.exists(os.path.join(source, "trajectory.json")):
        native = open_trajectory(source)
        found = {step: str(step) for step in native.steps}
        chosen = _choose(source, found, schedule, steps)
        return Trajectory(
            list(chosen),
            native.load,
            native.info,
            native.name,
            fingerprint=native.fingerprint,
        )
    given = steps if isinstance(steps, Mapping) else None
    if not os.path.exists(source):
        if given is None and branch is not None:
            given = _hub.commits(source, branch)
        series = _hub_series(source, given, pattern, reading, cache, keep)
    else:
        series = local_series(source, given, pattern, reading)
    chosen = _choose(source, series.names, schedule, steps)
    first = _first_config(series, list(chosen.values()))
    info: dict[str, Any] = {"model": first.to_dict(), "source": source}
    info["names"] = dict(chosen)
    info["identical"] = []
    watched = _Watch(source, series, chosen, first, info["identical"])
    tokenizer = functools.partial(series.tokenizer, next(iter(chosen.values())))
    stamp = series.stamp
    return Trajectory(
        list(chosen),
        watched,
        info,
        source,
        tokenizer=tokenizer,
        fingerprint=lambda step: series.fingerprint(chosen[step]),
        stamp=None if stamp is None else lambda step: stamp(chosen[step]),
    )


def _choose(
    source: str,
    names: Mapping[int, str],
    named: str | None,
    steps: Sequence[int] | Mapping[int, str] | None,
) -> dict[int, str]:
    """The steps that were asked for, ascending, each known to be there.

    Raises:
        CheckpointError: the source has no steps at all.
        ValueError: a step is not there, or none of a schedule is.
    """
    there = dict(sorted(names.items()))
    if not there:
        raise CheckpointError(
            f"{source} has no checkpoints whose names tell a step, such as step1000, "
            "checkpoint-1000 or 1000.pt. Give `steps` as step -> name."
        )
    if steps is not None and not isinstance(steps, Mapping):
        for step in steps:
            if step not in there:
                near = sorted(there, key=lambda s: abs(s - step))[:4]
                raise ValueError(
                    f"{source} has no checkpoint at step {step}; near ones are "
                    f"{', '.join(map(str, sorted(near)))}."
                )
        return {step: there[step] for step in sorted(steps)}
    if named is not None:
        wanted = set(schedule(named, max(there)))
        chosen = {step: name for step, name in there.items() if step in wanted}
        if not chosen:
            raise ValueError(f"{source} has no step of the schedule {named!r}.")
        return chosen
    return there


def _first_config(series: Series, names: Sequence[str]) -> TransformerConfig:
    """The config of the first checkpoint that is not broken."""
    errors = []
    for name in names:
        try:
            return series.config(name)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def _hub_series(
    repo: str,
    given: Mapping[int, str] | None,
    pattern: str | None,
    reading: Reading,
    cache: str | None,
    keep: int | None,
) -> Series:
    """The checkpoints of a run on the hub, downloaded as they are read."""
    names = given if given is not None else _hub.revisions(repo, pattern=pattern)
    on_disk: collections.deque[str] = collections.deque()

    def read(name: str) -> Transformer:
        folder = _hub.download(repo, revision=name, cache=cache)
        if folder not in on_disk:
            on_disk.append(folder)
        model = reading.folder(folder)
        # The oldest goes: in order of steps it is the last to be asked for again.
        while keep is not None and len(on_disk) > keep:
            _hub.forget(repo, [on_disk.popleft()], cache=cache)
        return model

    def config(name: str) -> TransformerConfig:
        file = _hub.download_file(repo, CONFIG, revision=name, cache=cache)
        return reading.folder_config(os.path.dirname(file))

    def tokenizer(name: str) -> Any:
        folder = _hub.download_tokenizer(repo, revision=name, cache=cache)
        return read_tokenizer(folder)

    commit = functools.partial(_hub.commit_of, repo, cache=cache)
    return Series(names, read, config, tokenizer, commit)


class _Watch:
    """A reader of checkpoints that compares each with those before."""

    def __init__(
        self,
        source: str,
        series: Series,
        names: Mapping[int, str],
        config: TransformerConfig,
        identical: list[tuple[int, int]],
    ):
        self._source, self._series, self._names = source, series, names
        self._config, self._identical = config, identical
        self._seen: dict[str, int] = {}

    def __call__(self, step: int) -> Transformer:
        try:
            model = self._series.read(self._names[step])
        except (ValueError, OSError) as error:
            # In a series, one that cannot be followed is lost like a damaged one.
            raise CheckpointError(f"{self._source}, step {step}: {error}") from error
        # A measurement is compiled once, for one model.
        if model.config != self._config:
            raise CheckpointError(
                f"{self._source}: the checkpoint at step {step} has another config "
                "than the first; a trajectory is of one model."
            )
        earlier = self._seen.setdefault(_sample(model), step)
        if earlier != step and (earlier, step) not in self._identical:
            # The sample agrees; whole models are compared only then.
            other = self._series.read(self._names[earlier])
            if _equal(model, other):
                self._identical.append((earlier, step))
                warnings.warn(
                    f"{self._source}: steps {earlier} and {step} hold equal weights.",
                    stacklevel=2,
                )
        return model


def _sample(model: Transformer) -> str:
    """A hash of some values of every weight; only those leave the device."""
    state = hashlib.blake2b(digest_size=12)
    for leaf in named_leaves(model).values():
        some = np.asarray(leaf.reshape(-1)[:: max(1, leaf.size // _SAMPLE)])
        # Equal weights must have equal hashes, and there are two zeros and many NaNs.
        some = np.where(some == 0, np.zeros_like(some), some)
        some = np.where(some != some, np.full_like(some, np.nan), some)
        state.update(some.tobytes())
    return state.hexdigest()


def _equal(a: Transformer, b: Transformer) -> bool:
    """Whether two models hold equal weights, a NaN being equal to a NaN."""
    pairs = zip(named_leaves(a).values(), named_leaves(b).values(), strict=True)
    both = ((np.asarray(x), np.asarray(y)) for x, y in pairs)
    return all((((x == y) | ((x != x) & (y != y))).all()) for x, y in both)
