"""A task as a study names it: for training, for a row, or for what is learnt first."""

import hashlib
import inspect
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from .._core import find, named_leaves
from ..tasks import TASKS, AbstractTask
from ._faults import attempt
from ._options import check_options

# What a study may say of a task: its name, or a mapping with the name and options.
TaskWords = str | Mapping[str, Any]


def task_words(said: TaskWords) -> dict[str, Any]:
    """The task's name and options as a mapping, `{name: NAME, …}`.

    Args:
        said: What a study says; a name alone is a task without options.
    """
    return {"name": said} if isinstance(said, str) else dict(said)


def build_task(
    said: Mapping[str, Any],
    where: str,
    faults: list[str],
    defaults: Mapping[str, Any] | None = None,
) -> AbstractTask | None:
    """The task that a study names, or None where something is wrong with it.

    Args:
        said: The task's name and options.
        where: Path of the section, for messages.
        faults: Grows by what is wrong.
        defaults: Options of tasks that read text by somebody's tokenizer, which hold
            where the study says no other.
    """
    options = dict(said)
    try:
        spec = find(TASKS, str(options.pop("name", "")), kind="task")
    except ValueError as error:
        faults.append(f"{where}.name: {error}")
        return None
    if "tokenizer" in inspect.signature(spec.build).parameters:
        options = {**(defaults or {}), **options}
    checked, wrong = check_options(spec.build, options, where=where)
    faults += wrong
    return None if wrong else attempt(lambda: spec.build(**checked), faults)


def data_fingerprint(task: AbstractTask) -> str:
    """A hash of the arrays that a task holds.

    Two runs on files that have changed in between are not the same run.

    Args:
        task: The task with its data.
    """
    state = hashlib.blake2b(digest_size=12)
    for name, leaf in named_leaves(task).items():
        state.update(name.encode())
        state.update(np.asarray(jax.device_get(leaf)).tobytes())
    return state.hexdigest()
