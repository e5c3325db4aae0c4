"""What a folder was made with, so that numbers of two kinds never share it."""

import json
from collections.abc import Mapping
from typing import Any

from ..._core import digest_of, dump_record, parse_record
from .._config import Measurement, StudyError
from .._task import data_fingerprint
from ._folder import Folder
from ._names import CELLS, CLAIM_FILE
from ._row import RowFolder

# Format 1 had no checksums and no sittings; it is still read.
FORMAT = 2


def config_hash(identity: dict[str, Any]) -> str:
    """A short name for what decides the numbers."""
    return digest_of(identity)[:12]


def check_identity(folder: Folder, found: Mapping, identity: Mapping) -> None:
    """Refuse a folder that holds a run of another task, model or training.

    Args:
        folder: Of the run.
        found: The identity that its record has.
        identity: That of the study which is to be written there.

    Raises:
        StudyError: they differ; the message lists where.
    """
    if different := _differences(found, identity):
        raise StudyError(
            f"{folder.path} holds a run made with another config:\n"
            + "\n".join(different)
            + "\nWrite this one elsewhere with out=FOLDER, or delete that one."
        )


def claim_rows(folder: Folder, rows: list[Measurement]) -> None:
    """Record what decides the numbers of each row, in the row's own folder.

    Args:
        folder: Of the run.
        rows: Of the study, each after those that it uses.

    Raises:
        StudyError: there are cells under the id of a row that were made with other
            options, or their record is damaged.
        OSError: it cannot be written.
    """
    claims: dict[str, dict[str, Any]] = {}
    for row in rows:
        claims[row.id] = _claim(row, claims)
        _claim_row(folder, row.id, claims[row.id])


def _claim(row: Measurement, claims: Mapping[str, Any]) -> dict[str, Any]:
    """What decides a row's numbers beside its checkpoints: options, and what it uses.

    The records of the rows that it uses are part of its own.
    """
    claim: dict[str, Any] = {"name": row.name, "options": row.options}
    if used := {name: use for name, use in row.uses.items() if name in row.asked}:
        claim["uses"] = {
            name: {"use": str(use), **claims.get(use.of, {})}
            for name, use in used.items()
        }
    if row.task is not None:
        # Not named where it is the study's, as it is not in runs of earlier versions.
        claim["task"] = {**row.said, "data": data_fingerprint(row.task)}
    return claim


def _claim_row(folder: Folder, row: str, claim: dict[str, Any]) -> None:
    below = f"{CELLS}/{row}"
    file = f"{below}/{CLAIM_FILE}"
    folder.create(below)
    if folder.exists(file) and RowFolder(folder, row).steps:
        # As JSON gives it back: lists in place of tuples, and so on.
        now = json.loads(json.dumps(claim))
        if different := _differences(_recorded(folder, file), now):
            raise StudyError(
                f"{folder.path} holds cells of measurement {row!r} made with other "
                "options:\n" + "\n".join(different) + "\nGive this one an `id` of its "
                "own, or delete " + folder.join(below) + "."
            )
    folder.write(file, dump_record({"format": FORMAT, **claim}))


def _recorded(folder: Folder, file: str) -> dict[str, Any]:
    try:
        found = parse_record(folder.read(file), sealed_since=2)
    except ValueError as error:
        raise StudyError(
            f"{folder.join(file)} is damaged: {error}. Restore it, or delete its "
            "folder to measure again."
        ) from error
    found.pop("format", None)
    return found


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    """A line for each entry that differs, by its path in the mappings."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        lines = []
        for key in sorted({*old, *new}):
            inner = f"{path}.{key}" if path else key
            lines += _differences(old.get(key), new.get(key), inner)
        return lines
    return [] if old == new else [f"  {path}: {old!r} there, {new!r} here"]
