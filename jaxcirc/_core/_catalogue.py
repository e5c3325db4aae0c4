"""Catalogues: tuples of rows with a `name`, looked up with a helpful error."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from ._names import unknown


@runtime_checkable
class Named(Protocol):
    """A catalogue row."""

    @property
    def name(self) -> str:
        """What the row is called in a study."""
        ...


Row = TypeVar("Row", bound=Named)


def find(rows: Sequence[Row], name: str, *, kind: str) -> Row:
    """The row called `name`, or once called so.

    Args:
        rows: A catalogue. A row may have names of earlier versions, `formerly`, which
            are read but not told to who misspells one.
        name: What to look for.
        kind: What the rows are, for the message.

    Raises:
        ValueError: no row has that name; the message lists the nearest and all.
    """
    for row in rows:
        if name in (row.name, *getattr(row, "formerly", ())):
            return row
    raise ValueError(unknown(kind, name, (row.name for row in rows)))
