"""A row of the catalogue of dictionaries' file formats."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .._dictionary import Dictionary


class FormatSpec(NamedTuple):
    """A row of the catalogue of formats.

    Args:
        name: What the format is called.
        summary: One line about it.
        recognises: Path -> whether it holds a dictionary of this format.
        read: Path -> the dictionary, and what else the files say of it.
        write: (dictionary, folder, metadata) -> nothing; None if it is only read.
    """

    name: str
    summary: str
    recognises: Callable[[str], bool]
    read: Callable[[str], tuple[Dictionary, dict[str, Any]]]
    write: Callable[[Dictionary, str, Mapping[str, Any]], None] | None
