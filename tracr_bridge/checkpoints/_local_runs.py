"""Training runs on this machine: folders, files, and groups in one file."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ._contents import contents, folder_files, looks
from ._named_steps import named_steps, tell_left_out
from ._opened import Opened
from ._pretrained import CONFIG
from ._series import Reading, Series
from ._steps import step_of
from ._tensor_files import WEIGHTS, open_tensors
from ._tokenizer import read_tokenizer

_FILES = (".safetensors", ".npz", ".pt", ".pth", ".ckpt", ".bin")


def local_series(
    source: str,
    given: Mapping[int, str] | None,
    pattern: str | None,
    reading: Reading,
) -> Series:
    """The run that a folder or a file holds.

    A folder whose name tells a step belongs to the run even where its config or its
    weights are missing: it is a checkpoint that cannot be read. What has no step is
    told by a warning.

    Args:
        source: The folder or the file.
        given: Step -> name, where the user says them.
        pattern: What names must contain.
        reading: How weights become models.

    Raises:
        CheckpointError: a file of groups is damaged.
        ValueError: a name that was given is not there, or two have one step.
    """
    held = (
        _groups(source, reading) if os.path.isfile(source) else _held(source, reading)
    )
    names = named_steps(held.place, held.there, held.own, given, pattern)
    if held.beside:
        why = "they lie beside folders of checkpoints"
        tell_left_out(held.place, held.beside, why)
    return Series(
        names,
        lambda name: held.opened(name).read(),
        lambda name: held.opened(name).config,
        held.tokenizer,
        lambda name: contents(held.files(name)),
        lambda name: looks(held.files(name)),
    )


class _Held(NamedTuple):
    """What a place holds, whatever steps its names have.

    Args:
        place: The folder or file, as messages call it.
        there: Every name that a user may give.
        own: Names that stand for themselves.
        opened: Name -> model.
        files: Name -> the files that decide its weights.
        tokenizer: Name -> tokenizer, or None where there is none.
        beside: Names of files that belong to no checkpoint.
    """

    place: str
    there: Sequence[str]
    own: Sequence[str]
    opened: Callable[[str], Opened]
    files: Callable[[str], list[str]]
    tokenizer: Callable[[str], Any] = lambda _: None
    beside: Sequence[str] = ()


def _held(source: str, reading: Reading) -> _Held:
    """What a folder holds: folders of checkpoints, or else files of weights."""
    # A run folder of pico-train or Lightning keeps them one level down.
    inner = os.path.join(source, "checkpoints")
    place = inner if os.path.isdir(inner) else source
    at = functools.partial(os.path.join, place)
    inside = sorted(os.listdir(place))
    files = [n for n in inside if n.endswith(_FILES) and os.path.isfile(at(n))]
    folders = [n for n in inside if os.path.isdir(at(n))]
    models = [n for n in folders if _is_model(at(n), reading)]
    if not models:
        return _Held(
            place,
            files,
            _without_links(place, files),
            lambda name: reading.weights(open_tensors(at(name))),
            lambda name: [at(name)],
        )
    # Left out, a damaged checkpoint would be a gap that nobody notices.
    broken = [n for n in folders if n not in models and step_of(n) is not None]
    return _Held(
        place,
        folders,
        _without_links(place, sorted(models + broken)),
        lambda name: reading.folder(at(name)),
        lambda name: folder_files(at(name)),
        lambda name: read_tokenizer(at(name)),
        files,
    )


def _groups(source: str, reading: Reading) -> _Held:
    """What one file holds whose tensors are grouped by step: `step_10/embed.W_E`."""
    whole = open_tensors(source)
    groups: dict[str, dict[str, str]] = {}
    for name in whole:
        group, slash, rest = name.partition("/")
        if slash:
            groups.setdefault(group, {})[rest] = name
    return _Held(
        source,
        list(groups),
        list(groups),
        lambda name: reading.weights(whole.renamed(groups[name])),
        lambda _: [source],
    )


def _is_model(folder: str, reading: Reading) -> bool:
    """Whether a folder holds a model, or weights if these are all that is needed."""
    wanted = WEIGHTS if reading.rules else (CONFIG,)
    return any(os.path.exists(os.path.join(folder, name)) for name in wanted)


def _without_links(place: str, names: Sequence[str]) -> list[str]:
    """Names without links to others of them, such as `latest`."""
    real = os.path.realpath(place)
    others = {os.path.join(real, name) for name in os.listdir(place)}
    return [
        name
        for name in names
        if not os.path.islink(os.path.join(place, name))
        or os.path.realpath(os.path.join(place, name)) not in others
    ]
