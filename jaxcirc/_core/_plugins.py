"""What installed packages add to the catalogues, by entry points."""

import functools
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, NamedTuple


class PluginWarning(UserWarning):
    """A row that an installed package offers was left out of its catalogue."""


class LeftOut(NamedTuple):
    """A row that is not in its catalogue, and why.

    Args:
        group: The catalogue's group of entry points.
        name: The entry point's name.
        package: The package that offers it, with its version.
        reason: A sentence on what is wrong, and what to do.
    """

    group: str
    name: str
    package: str
    reason: str

    @property
    def sentence(self) -> str:
        """The whole as one line."""
        return (
            f"{self.group}: {self.name!r} of {self.package} is left out: {self.reason}"
        )


def plugin_names(group: str) -> tuple[str, ...]:
    """Names of a group's entry points; no module is imported for them."""
    return tuple(dict.fromkeys(point.name for point in _points(group)))


def load_rows(
    group: str, taken: tuple[str, ...], of: type
) -> tuple[tuple[Any, ...], tuple[LeftOut, ...]]:
    """The rows of a group's entry points, and what had to be left out.

    Args:
        group: The group's name.
        taken: Names that this library's own rows have.
        of: The class of the rows.

    Returns:
        The rows, ordered by package and name, and one `LeftOut` for each entry point
        whose name is taken, that fails to import, or that is no such row.
    """
    owners = dict.fromkeys(taken, "jaxcirc itself")
    rows, left_out = [], []
    for point in _points(group):
        package = _package(point)
        if point.name in owners:
            row, reason = (
                None,
                f"{owners[point.name]} has a row of that name; rename it.",
            )
        else:
            row, reason = _load(point, of)
        if reason is None:
            owners[point.name] = package
            rows.append(row)
        else:
            left_out.append(LeftOut(group, point.name, package, reason))
    return tuple(rows), tuple(left_out)


def _load(point: EntryPoint, of: type) -> tuple[Any, str | None]:
    """The row of an entry point, or None and why there is none."""
    try:
        row = point.load()
    except Exception as error:
        # Somebody else's module may raise anything; the rest of the library stands.
        failed = f"{type(error).__name__}: {error}".splitlines()[0]
        return None, f"{point.value} cannot be imported ({failed})."
    if not isinstance(row, of):
        return None, f"{point.value} is {type(row).__name__}, not {of.__name__}."
    if row.name != point.name:
        return None, f"{point.value} calls itself {row.name!r}; use one name for both."
    return row, None


def _points(group: str) -> list[EntryPoint]:
    """The entry points of a group, by package and name."""
    # Which package comes first must not depend on the order of directories.
    return sorted(_installed(group), key=lambda p: (_package(p), p.name))


@functools.cache
def _installed(group: str) -> EntryPoints:
    """Entry points of a group; to read what is installed takes some milliseconds."""
    return entry_points(group=group)


def _package(point: EntryPoint) -> str:
    """The package that offers an entry point, with its version."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "a package"
