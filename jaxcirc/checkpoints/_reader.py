"""A row of the catalogue of readers: who opens runs that somebody else trained."""

from collections.abc import Callable
from typing import Any, NamedTuple


class ReaderSpec(NamedTuple):
    """A way to open runs that were trained elsewhere.

    This library opens the checkpoints that it wrote itself. Formats of others are read
    by packages that add a row here, by an entry point of the group `jaxcirc.readers`.

    Args:
        name: The name that a study calls it by.
        summary: One line for `jaxcirc list`.
        build: Keyword options -> one trajectory per run; several runs stand for seeds
            of one, and must have the same steps and the same config. The row `weights`
            takes (source, revision=) instead and gives one model.
    """

    name: str
    summary: str
    build: Callable[..., Any]
