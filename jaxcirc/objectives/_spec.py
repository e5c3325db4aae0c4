"""A row of the catalogue of objectives."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from .._core import AbstractObjective


class ObjectiveSpec(NamedTuple):
    """A row of the catalogue of objectives.

    Args:
        name: What the objective is called.
        summary: One line about it.
        build: Keyword options -> objective.
        takes: What its examples are: a `Batch` of positions, or `Pairs`.
        units: Units of its values; empty for a pure number.
    """

    name: str
    summary: str
    build: Callable[..., AbstractObjective]
    takes: Literal["batch", "pairs"]
    units: str
