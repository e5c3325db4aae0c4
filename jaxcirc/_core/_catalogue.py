"""Catalogues: rows with a `name`, looked up with a helpful error."""

import collections
import functools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar, overload, runtime_checkable

from ._names import unknown
from ._plugins import LeftOut, PluginWarning, load_rows, plugin_names


@runtime_checkable
class Named(Protocol):
    """A catalogue row."""

    @property
    def name(self) -> str:
        """What the row is called in a study."""
        ...


Row = TypeVar("Row", bound=Named)


class Catalogue(Sequence[Row]):
    """Rows of one kind: this library's, then those that installed packages add.

    A package adds a row by an entry point whose group is the catalogue's and whose name
    is the row's:

    ```toml
    [project.entry-points."jaxcirc.metrics"]
    my_metric = "my_package.my_module:SPEC"
    ```

    Nothing is read before somebody asks for more than this library's own rows, so that
    importing the library costs nothing. What is installed is read once per process. A
    row that cannot be had is left out with a `PluginWarning` that names it.

    Args:
        group: Of the entry points, such as `jaxcirc.metrics`.
        own: The rows of this library, in the order in which they are listed.
        of: The class of the rows; an entry point that is anything else is left out.

    Raises:
        ValueError: two of the library's own rows have one name.

    Example:
        >>> from jaxcirc.metrics import METRICS
        >>> METRICS[0].name
        'effective_rank'
    """

    def __init__(self, group: str, own: Iterable[Row], *, of: type):
        self.group, self.own, self.of = group, tuple(own), of
        counts = collections.Counter(row.name for row in self.own)
        if twice := [name for name, n in counts.items() if n > 1]:
            raise ValueError(
                f"{group}: two rows are called {twice[0]!r}, and a lookup would only "
                "ever find the first. Give the new one a name of its own."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all rows, for which no module of a package is imported."""
        own = [row.name for row in self.own]
        added = [n for n in plugin_names(self.group) if n not in own]
        return (*own, *added)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """What packages offer and is not in the catalogue, each with its reason."""
        return self._added[1]

    @functools.cached_property
    def _added(self) -> tuple[tuple[Row, ...], tuple[LeftOut, ...]]:
        taken = tuple(row.name for row in self.own)
        rows, left_out = load_rows(self.group, taken, self.of)
        for one in left_out:
            warnings.warn(one.sentence, PluginWarning, stacklevel=3)
        return rows, left_out

    def __iter__(self) -> Iterator[Row]:
        # Looking up a row of this library ends before a package is imported.
        yield from self.own
        yield from self._added[0]

    def __len__(self) -> int:
        return len(self.own) + len(self._added[0])

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...
    def __getitem__(self, index: Any) -> Any:
        return (*self.own, *self._added[0])[index]

    def __repr__(self) -> str:
        return f"Catalogue({self.group!r}, {list(self.names)})"


def find(rows: Iterable[Row], name: str, *, kind: str) -> Row:
    """The row called `name`, or once called so.

    Args:
        rows: A catalogue, or any rows. A row may have names of earlier versions,
            `formerly`, which are read but not told to who misspells one.
        name: Of the row.
        kind: What the rows are, for the message.

    Raises:
        ValueError: no row has that name; the message lists the nearest and all, or says
            why the row of an installed package was left out.
    """
    for row in rows:
        if name in (row.name, *getattr(row, "formerly", ())):
            return row
    for one in rows.left_out if isinstance(rows, Catalogue) else ():
        if one.name == name:
            raise ValueError(f"{kind} {name!r}: {one.sentence}")
    raise ValueError(unknown(kind, name, (row.name for row in rows)))
