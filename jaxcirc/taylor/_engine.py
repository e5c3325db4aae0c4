"""What an engine is: a way to have all coefficients along a line."""

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import PyTree


class EngineSpec(NamedTuple):
    """A row of the catalogue of engines.

    All of them give the same coefficients, and differ in what they can follow, in how
    long they take to compile and to run, and in memory.

    Args:
        name: What it is called.
        summary: One line about it.
        coefficients: (line, order) -> the coefficients from power 0 on, one tree each.
        takes: What it can expand.
        paper: Where it is from.
    """

    name: str
    summary: str
    coefficients: Callable[..., tuple[PyTree, ...]]
    takes: str
    paper: str
