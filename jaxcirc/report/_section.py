"""What a section of the page is: a catalogue row, what it sees and what it gives."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from ..plots import CurvePanel


class Block(NamedTuple):
    """One heading of the page with what stands under it.

    Args:
        title: The heading.
        text: Sentences under it; HTML in them is shown as it is written.
        figure: A figure of `jaxcirc.plots`, if there is one.
        explorer: What the section's own controls need: JSON, and finite numbers.
        table: Its header, and its rows.
        suffix: Sets blocks of one section apart in links: the address of a block is
            the name of the study's row followed by it.
    """

    title: str
    text: str = ""
    figure: Any | None = None
    explorer: Mapping[str, Any] | None = None
    table: tuple[Sequence[str], Sequence[tuple]] | None = None
    suffix: str = ""


class Node(NamedTuple):
    """One row of a study, read for the page.

    Args:
        kind: The measurement that it is of.
        data: Its results. Arrays may be read from disk only when they are looked at.
        section: How they are shown.
    """

    kind: str
    data: xr.Dataset
    section: "SectionSpec"


class View(NamedTuple):
    """What a section is drawn from.

    Args:
        name: What the study calls the row.
        data: Its results; with axes `step` and `seed` if it was measured over
            training, without either if it was measured once.
        nodes: All rows of the study by name, this one included.
        budget: How many bytes its explorers may add to the page.
    """

    name: str
    data: xr.Dataset
    nodes: Mapping[str, Node]
    budget: int

    def of_kind(self, kind: str) -> list[xr.Dataset]:
        """Results of all rows of one measurement, in the study's order.

        Args:
            kind: Name of the measurement.

        Returns:
            The datasets; none where the study has no such row.
        """
        return [node.data for node in self.nodes.values() if node.kind == kind]


def nothing(view: View) -> list:
    """An empty list, whatever the results.

    Args:
        view: Is not looked at.
    """
    del view
    return []


class SectionSpec(NamedTuple):
    """A row of the section catalogue: how the page shows one kind of measurement.

    Every function gets a `View`. One that raises is replaced by its error as a
    sentence, and the rest of the page is whole.

    Args:
        name: Of the measurement.
        draw: Gives the section's blocks. With None, it is drawn by its axes: curves,
            heat maps and matrices.
        overview: Gives panels for the curves of the whole study.
        findings: Gives sentences on what happened, each with its numbers.
        explorer: The section's own file, where blocks have an `explorer`. The controls
            are a template beside it that ends in `.html`, and what moves them is a
            script that ends in `.js`.
        together: Whether all rows of the kind are one section, drawn from the first.
        headline: Whether its numbers are the page's table, and come before others.
        measured: Whether it is a measurement, and not derived from others or from
            training. What is derived is shown first.

    Example:
        >>> SectionSpec("sharpness", findings=lambda view: ["It is sharp."]).together
        False
    """

    name: str
    draw: Callable[[View], Sequence[Block]] | None = None
    overview: Callable[[View], Sequence[CurvePanel]] = nothing
    findings: Callable[[View], Sequence[str]] = nothing
    explorer: Path | None = None
    together: bool = False
    headline: bool = False
    measured: bool = True
