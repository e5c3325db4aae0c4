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
    """The row called `name`.

    Raises:
        ValueError: no row has that name; the message lists the nearest and all.
    """
    for row in rows:
        if row.name == name:
            return row
    raise ValueError(unknown(kind, name, (row.name for row in rows)))
