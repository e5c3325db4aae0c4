"""Catalogues of packages that `jaxcirc list` shows beside this library's."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .._core import Catalogue


class Listing(NamedTuple):
    """A catalogue whose rows are options of something rather than rows of ours.

    The RASP programs are one: a study names them in the options of its task. A package
    adds one by an entry point of the group `jaxcirc.listings`.

    Args:
        name: The name of the entry point.
        title: What stands above its rows.
        rows: Rows with a `name` and a `summary` each.
    """

    name: str
    title: str
    rows: Sequence[Any]


LISTINGS: Catalogue[Listing] = Catalogue("jaxcirc.listings", (), of=Listing)
