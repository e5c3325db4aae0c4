"""`run.json`: what decides the weights, what was done when, and where."""

from typing import Any

import yaml

from ..._core import dump_record, parse_record
from .._config import StudyError
from ._folder import Folder
from ._names import RUN_FILE, STUDY_FILE


def read_run(folder: Folder) -> dict[str, Any]:
    """The contents of `run.json`.

    Raises:
        StudyError: the folder holds no run, or its record is damaged.
    """
    try:
        data = folder.read(RUN_FILE)
    except FileNotFoundError as error:
        raise StudyError(
            f"{folder.path} is not a run: it has no {RUN_FILE}. Give a folder that "
            "`jaxcirc run` has written, such as runs/induction."
        ) from error
    try:
        run = parse_record(data, sealed_since=2)
        for entry in ("identity", "provenance"):
            if not isinstance(run.get(entry), dict):
                raise ValueError(f"it lacks the entry `{entry}`")
    except ValueError as error:
        raise StudyError(
            f"{folder.join(RUN_FILE)} is damaged: {error}. Restore it, or delete "
            "the folder and run the study again."
        ) from error
    return run


def add_to_run(folder: Folder, entries: dict[str, Any]) -> None:
    """Add to `run.json`, which is made if it is not there.

    Args:
        folder: The folder of the run.
        entries: What to add; entries of the same names are replaced.

    Raises:
        StudyError: the record is damaged.
        OSError: it cannot be written.
    """
    run = read_run(folder) if folder.exists(RUN_FILE) else {}
    folder.write(RUN_FILE, dump_record(run | entries))


def read_study(folder: Folder) -> dict[str, Any]:
    """`study.yaml`, of a run whose record does not hold the study itself.

    Raises:
        StudyError: it is not there, or damaged.
    """
    path = folder.join(STUDY_FILE)
    try:
        study = yaml.safe_load(folder.read(STUDY_FILE).decode())
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise StudyError(f"{path} is damaged: {error}.") from error
    if not isinstance(study, dict):
        raise StudyError(f"{path} is damaged: it holds no mapping.")
    return study
