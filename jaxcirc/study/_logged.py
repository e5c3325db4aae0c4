"""Which cells a tracker has been given, kept in the run's folder."""

from collections.abc import Mapping
from typing import Any

from .._core import dump_record, parse_record
from ._store import Place
from ._store._folder import Folder

FOLDER = "tracking"
FORMAT = 2


class Logged:
    """The record of one tracker: cells by what they were measured of.

    A cell that has been measured anew, of something else, is another cell.

    Args:
        folder: Of the run.
        tracker: The tracker's name in the catalogue.
        rewinds: Whether the tracker forgets what came after its last state.

    Raises:
        ValueError: the record is damaged; the message says what to do.
    """

    def __init__(self, folder: Folder, tracker: str, *, rewinds: bool):
        self._folder, self._file = folder, f"{FOLDER}/{tracker}.json"
        self._rewinds = rewinds
        record = self._read()
        self.state: dict[str, Any] = record.get("state", {})
        self.page_is_due: bool = record.get("page_is_due", False)
        self._cells: dict[str, dict[str, str]] = record.get("cells", {})

    def has(self, row: str, place: Place, tag: str) -> bool:
        """Whether the tracker has been given a cell.

        Args:
            row: The row's id.
            place: Where the cell is.
            tag: What it was measured of.
        """
        return self._cells.get(row, {}).get(str(place)) == tag

    def sending(
        self, place: Place, tags: Mapping[str, str], state: dict[str, Any]
    ) -> None:
        """Record cells before the tracker is given them, unless it rewinds.

        Args:
            place: Where the cells are.
            tags: Row -> what its cell was measured of.
            state: The tracker's, before.
        """
        # Of a run that is killed now, one that cannot take numbers back may have them.
        if not self._rewinds:
            self.sent(place, tags, state)

    def sent(
        self, place: Place, tags: Mapping[str, str], state: dict[str, Any]
    ) -> None:
        """Record cells that the tracker has been given.

        Args:
            place: Where the cells are.
            tags: Row -> what its cell was measured of.
            state: The tracker's, after.
        """
        for row, tag in tags.items():
            self._cells.setdefault(row, {})[str(place)] = tag
        self.state, self.page_is_due = state, True
        self._write()

    def unsent(self, place: Place, tags: Mapping[str, str]) -> None:
        """Take back cells that the tracker has refused, so that they are tried again.

        Args:
            place: Where the cells are.
            tags: Row -> what its cell was measured of.
        """
        for row in tags:
            self._cells.get(row, {}).pop(str(place), None)
        self._write()

    def page_sent(self) -> None:
        """Record that the tracker has the report of all that it was given."""
        self.page_is_due = False
        self._write()

    def _write(self) -> None:
        record = {
            "format": FORMAT,
            "state": self.state,
            "page_is_due": self.page_is_due,
            "cells": self._cells,
        }
        self._folder.create(FOLDER)
        self._folder.write(self._file, dump_record(record))

    def _read(self) -> dict[str, Any]:
        if not self._folder.exists(self._file):
            return {}
        try:
            return parse_record(self._folder.read(self._file), sealed_since=2)
        except ValueError as error:
            raise ValueError(
                f"{self._folder.join(self._file)} is damaged: {error}. Restore it, or "
                "delete it to give the tracker all cells again"
            ) from error
