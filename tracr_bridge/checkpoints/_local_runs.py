"""Training runs on this machine: folders, files, and groups in one file."""

import functools
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ._contents import contents, folder_files, looks
from ._load import open_tensors
from ._pretrained import CONFIG, WEIGHTS
from ._series import Reading, Series, chosen_names
from ._steps import step_of, steps_of
from ._tokenizer import read_tokenizer
from .formats import Tensors

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

    Raises:
        CheckpointError: a file of groups is damaged.
        ValueError: a name that was given is not there, or two have one step.
    """
    if os.path.isfile(source):
        return _groups(source, given, pattern, reading)
    # A run folder of pico-train or Lightning keeps them one level down.
    inner = os.path.join(source, "checkpoints")
    source = inner if os.path.isdir(inner) else source
    at = functools.partial(os.path.join, source)
    inside = sorted(os.listdir(source))
    files = [n for n in inside if n.endswith(_FILES) and os.path.isfile(at(n))]
    folders = [n for n in inside if os.path.isdir(at(n))]
    models = [n for n in folders if _is_model(at(n), reading)]
    if not models:
        names = _named(given, files, _own(source, files), pattern, source)
        return _weights_series(
            names, lambda n: open_tensors(at(n)), reading, lambda n: [at(n)]
        )
    # Left out, a damaged checkpoint would be a gap that nobody notices.
    broken = [n for n in folders if n not in models and step_of(n) is not None]
    own = _own(source, sorted(models + broken))
    names = _named(given, folders, own, pattern, source)
    if files:
        _tell(source, files, "they lie beside folders of checkpoints")
    return Series(
        names,
        lambda name: reading.folder(at(name)),
        lambda name: reading.folder_config(at(name)),
        lambda name: read_tokenizer(at(name)),
        lambda name: contents(folder_files(at(name))),
        lambda name: looks(folder_files(at(name))),
    )


def _is_model(folder: str, reading: Reading) -> bool:
    """Whether a folder holds a model, or weights if these are all that is needed."""
    wanted = WEIGHTS if reading.rules else (CONFIG,)
    return any(os.path.exists(os.path.join(folder, name)) for name in wanted)


def _own(source: str, names: Sequence[str]) -> list[str]:
    """Names without links to others of them, such as `latest`."""
    real = os.path.realpath(source)
    others = {os.path.join(real, name) for name in os.listdir(source)}
    return [
        name
        for name in names
        if not os.path.islink(os.path.join(source, name))
        or os.path.realpath(os.path.join(source, name)) not in others
    ]


def _named(
    given: Mapping[int, str] | None,
    there: Sequence[str],
    own: Sequence[str],
    pattern: str | None,
    source: str,
) -> Mapping[int, str]:
    """Step -> name, as a user gave it or as names tell it."""
    if given is not None:
        return chosen_names(given, there, source)
    found, without = steps_of(own, pattern, source)
    if found and without:
        _tell(source, without, "their names tell no step")
    return found


def _tell(source: str, names: Sequence[str], why: str) -> None:
    """Warn of what is left out."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    warnings.warn(
        f"{source}: {', '.join(names[:8])}{more} left out: {why}. `steps` as step -> "
        "name, or `pattern`, says which belong to the run.",
        stacklevel=2,
    )


def _groups(
    source: str,
    given: Mapping[int, str] | None,
    pattern: str | None,
    reading: Reading,
) -> Series:
    """The run in one file whose tensors are grouped by step: `step_10/embed.W_E`."""
    whole = open_tensors(source)
    groups: dict[str, dict[str, str]] = {}
    for name in whole:
        group, slash, rest = name.partition("/")
        if slash:
            groups.setdefault(group, {})[rest] = name
    names = _named(given, list(groups), list(groups), pattern, source)
    return _weights_series(
        names, lambda n: whole.renamed(groups[n]), reading, lambda _: [source]
    )


def _weights_series(
    names: Mapping[int, str],
    tensors: Callable[[str], Tensors],
    reading: Reading,
    files: Callable[[str], list[str]],
) -> Series:
    """A run whose checkpoints are weights by themselves."""

    def no_tokenizer(_: str) -> Any:
        return None

    return Series(
        names,
        lambda name: reading.tensors(tensors(name)),
        lambda name: reading.tensors_config(tensors(name)),
        no_tokenizer,
        lambda name: contents(files(name)),
        lambda name: looks(files(name)),
    )
