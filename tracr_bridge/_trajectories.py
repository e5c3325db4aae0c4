"""Published training runs as trajectories: hub revisions, folders, files."""

import collections
import functools
import hashlib
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxcirc._core import named_leaves, unknown
from jaxcirc.checkpoints import CheckpointError, Trajectory, open_trajectory, schedule
from jaxcirc.models import Transformer, TransformerConfig

from . import _hub
from ._load import from_tensors, from_transformer_lens, open_tensors
from ._names import renamed
from ._pretrained import CONFIG, family_of, load_folder, read_json
from ._sources import located
from ._transformer_lens import read_cfg
from .families import Rule
from .formats import Tensors

_FILES = (".safetensors", ".npz", ".pt", ".pth")
# Values of each weight that are compared before whole models are.
_SAMPLE = 4096


class _Options(NamedTuple):
    """How each checkpoint is read.

    Args:
        dtype: Of the weights.
        ignore: Patterns of tensors to leave out.
        names: Pattern -> replacement for tensors' names.
        cfg: What TransformerLens weights do not show.
        config: Of the model, where `rules` say what tensors hold.
        rules: A name map of one's own.
    """

    dtype: str | None
    ignore: Sequence[str]
    names: Mapping[str, str] | None
    cfg: Mapping[str, Any] | None
    config: TransformerConfig | None
    rules: Sequence[Rule] | None

    def folder(self, path: str) -> Transformer:
        """The model of a folder as `save_pretrained` writes it."""
        return load_folder(path, dtype=self.dtype, ignore=self.ignore, names=self.names)

    def model(self, tensors: Tensors) -> Transformer:
        """The model of named tensors, by the rules or as TransformerLens has them."""
        if self.rules is not None and self.config is not None:
            return from_tensors(
                tensors,
                self.config,
                self.rules,
                ignore=self.ignore,
                names=self.names,
                dtype=self.dtype,
            )
        return from_transformer_lens(
            renamed(tensors, self.names),
            self.cfg,
            ignore=self.ignore,
            dtype=self.dtype,
        )

    def config_of(self, tensors: Tensors) -> TransformerConfig:
        """Its config, without reading weights."""
        if self.config is not None:
            return self.config
        return read_cfg(renamed(tensors, self.names), self.cfg or {}, {})


class _Series(NamedTuple):
    """A run as a reader finds it.

    Args:
        names: Step -> name of a revision, folder or file.
        read: Name -> model.
        config: Name -> the model's config, without reading weights if it can be.
        tokenizer: Name -> tokenizer, or None where there is none.
    """

    names: Mapping[int, str]
    read: Callable[[str], Transformer]
    config: Callable[[str], TransformerConfig]
    tokenizer: Callable[[str], Any]


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
            folder of pico-train; a folder of `.safetensors`, `.npz` or `.pt` files of
            TransformerLens weights, or one `.npz` with a group for each step; or a
            native trajectory.
        schedule: Only the steps of a named schedule (`jaxcirc.checkpoints.SCHEDULES`)
            that there are.
        steps: Only these; or step -> name of the revision, folder, file or group, where
            names do not tell.
        pattern: A regular expression that names must contain, such as `^stage1-`; its
            first group, if it has one, is the step.
        branch: A branch of the hub whose commits are the checkpoints, as pico-train
            pushes them.
        dtype: Of the weights; None keeps the checkpoints' own.
        cache: Where downloads go; the hub's usual cache if None.
        keep: Downloaded checkpoints to keep on disk at most; all if None.
        cfg: For TransformerLens weights, what `from_transformer_lens` takes.
        ignore: Patterns of tensors to leave out, as `load` takes them.
        names: Pattern -> replacement for tensors' names, as `load` takes them.
        config: Of the model, for files of weights of one's own.
        rules: What their tensors hold, as `from_tensors` takes it.

    Raises:
        CheckpointError: the source cannot be reached or holds no checkpoints.
        ValueError: a step or name is not there, two names have one step, or one of
            `config` and `rules` comes without the other.
    """
    source = located(source)
    if (config is None) != (rules is None):
        raise ValueError(
            "trajectory: files of one's own need both `config`, the model's, and "
            "`rules`, what their tensors hold."
        )
    options = _Options(dtype, ignore, names, cfg, config, rules)
    if keep is not None and keep < 1:
        raise ValueError(f"trajectory: `keep` must be at least 1; got {keep}.")
    if os.path.exists(os.path.join(source, "trajectory.json")):
        native = open_trajectory(source)
        names = {step: str(step) for step in native.steps}
        chosen = _choose(source, names, schedule, steps)
        return Trajectory(list(chosen), native.load, native.info, native.name)
    given = steps if isinstance(steps, Mapping) else None
    if not os.path.exists(source):
        if given is None and branch is not None:
            given = _hub.commits(source, branch)
        series = _hub_series(source, given, pattern, options, cache, keep)
    else:
        series = _local_series(source, given, pattern, options)
    chosen = _choose(source, series.names, schedule, steps)
    model = _first_config(series, list(chosen.values()))
    info: dict[str, Any] = {"model": model.to_dict(), "source": source}
    info["names"] = dict(chosen)
    info["identical"] = []
    watched = _Watch(source, series, chosen, model, info["identical"])
    tokenizer = functools.partial(series.tokenizer, next(iter(chosen.values())))
    return Trajectory(list(chosen), watched, info, source, tokenizer=tokenizer)


def _choose(
    source: str,
    names: Mapping[int, str],
    named: str | None,
    steps: Sequence[int] | Mapping[int, str] | None,
) -> dict[int, str]:
    """The steps that were asked for, ascending, each known to be there."""
    there = dict(sorted(names.items()))
    if not there:
        raise CheckpointError(
            f"{source} has no checkpoints whose names tell a step, such as step1000 or "
            "checkpoint-1000. Give `steps` as step -> name."
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


def _first_config(series: _Series, names: Sequence[str]) -> TransformerConfig:
    """The first checkpoint's, or the last one's where the first is broken."""
    try:
        return series.config(names[0])
    except ValueError as error:
        try:
            return series.config(names[-1])
        except ValueError:
            raise error from None


def _hub_series(
    repo: str,
    given: Mapping[int, str] | None,
    pattern: str | None,
    options: _Options,
    cache: str | None,
    keep: int | None,
) -> _Series:
    names = given if given is not None else _hub.revisions(repo, pattern=pattern)
    on_disk: collections.deque[str] = collections.deque()

    def read(name: str) -> Transformer:
        folder = _hub.download(repo, revision=name, cache=cache)
        if folder not in on_disk:
            on_disk.append(folder)
        model = options.folder(folder)
        while keep is not None and len(on_disk) > keep:
            _hub.forget(repo, [on_disk.popleft()], cache=cache)
        return model

    def config(name: str) -> TransformerConfig:
        file = _hub.download_file(repo, CONFIG, revision=name, cache=cache)
        return _config_of(os.path.dirname(file))

    def tokenizer(name: str) -> Any:
        return _tokenizer(_hub.download_tokenizer(repo, revision=name, cache=cache))

    return _Series(names, read, config, tokenizer)


def _local_series(
    source: str,
    given: Mapping[int, str] | None,
    pattern: str | None,
    options: _Options,
) -> _Series:
    if os.path.isfile(source):
        return _groups(source, given, pattern, options)
    # A run folder of pico-train keeps them one level down.
    inner = os.path.join(source, "checkpoints")
    source = inner if os.path.isdir(inner) else source
    inside = sorted(os.listdir(source))
    folders = [n for n in inside if os.path.exists(os.path.join(source, n, CONFIG))]
    # `latest` and its like are links to one of the others.
    folders = [n for n in folders if not os.path.islink(os.path.join(source, n))]
    if folders:
        names = _named(given, folders, pattern, source)
        at = functools.partial(os.path.join, source)
        return _Series(
            names,
            lambda name: options.folder(at(name)),
            lambda name: _config_of(at(name)),
            lambda name: _tokenizer(at(name)),
        )
    files = [n for n in inside if n.endswith(_FILES)]
    names = _named(given, files, pattern, source)

    def tensors(name: str) -> Tensors:
        return open_tensors(os.path.join(source, name))

    return _file_series(names, tensors, options)


def _groups(
    source: str,
    given: Mapping[int, str] | None,
    pattern: str | None,
    options: _Options,
) -> _Series:
    """One file whose tensors are grouped by step: `step_10/embed.W_E`."""
    whole = open_tensors(source)
    groups = list(dict.fromkeys(n.split("/")[0] for n in whole if "/" in n))
    names = _named(given, groups, pattern, source)

    def tensors(name: str) -> Tensors:
        inside = {
            n.removeprefix(f"{name}/"): n for n in whole if n.startswith(f"{name}/")
        }
        return whole.renamed(inside)

    return _file_series(names, tensors, options)


def _file_series(
    names: Mapping[int, str],
    tensors: Callable[[str], Tensors],
    options: _Options,
) -> _Series:
    return _Series(
        names,
        lambda name: options.model(tensors(name)),
        lambda name: options.config_of(tensors(name)),
        lambda _: None,
    )


def _named(
    given: Mapping[int, str] | None,
    there: Sequence[str],
    pattern: str | None,
    source: str,
) -> Mapping[int, str]:
    if given is None:
        return _hub.steps_of(there, pattern, source)
    for name in given.values():
        if name not in there:
            raise ValueError(f"{source}: {unknown('checkpoint', name, there)}")
    return given


def _config_of(folder: str) -> TransformerConfig:
    raw = read_json(os.path.join(folder, CONFIG))
    return family_of(raw).config(raw)


def _tokenizer(folder: str) -> Any:
    """A `tokenizers.Tokenizer`, if its file is there and the library installed."""
    file = os.path.join(folder, "tokenizer.json")
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return None
    return Tokenizer.from_file(file) if os.path.exists(file) else None


class _Watch:
    """Reads checkpoints and compares each with those before."""

    def __init__(
        self,
        source: str,
        series: _Series,
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
        except CheckpointError:
            raise
        except ValueError as error:
            # Of a series, one that cannot be followed is as lost as a damaged one.
            raise CheckpointError(f"{self._source}, step {step}: {error}") from error
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
        some = leaf.reshape(-1)[:: max(1, leaf.size // _SAMPLE)]
        state.update(np.asarray(some).tobytes())
    return state.hexdigest()


def _equal(a: Transformer, b: Transformer) -> bool:
    pairs = zip(named_leaves(a).values(), named_leaves(b).values(), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)
