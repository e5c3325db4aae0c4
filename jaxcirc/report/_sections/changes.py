"""When series of a study change their level."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ...plots import Move, change_timeline
from .._results import quantity_text, step_text
from .._section import Block, Node, SectionSpec, View

# A timeline with more rows than this is longer than a screen.
MOST_SERIES = 40
_TEXT = (
    "Changes of level that explain more than the best cut of random orders of the "
    "same values does: a series without any order in time has one in at most one "
    "case of twenty. Between two changes, the piece is looked through by itself. "
    "× noise: how far beyond that. Abrupt: how much of the change happens around "
    "that checkpoint."
)


def draw(view: View) -> list[Block]:
    """A timeline of the strongest changes, and a table of all."""
    if not view.data.data_vars:
        return []
    rows = _rows(view)
    return [Block("When things move", _TEXT, _timeline(rows), table=_table(rows))]


def findings(view: View) -> list[str]:
    """Sentences on when most series move, and on what was not looked at."""
    data, rows = view.data, _rows(view)
    tested, untested = data.attrs.get("tested", 0), data.attrs.get("untested", 0)
    if rows:
        return [_busiest(rows), *_unlisted(data), *_too_short(data, untested)]
    if tested:
        none = f"None of {tested:,} series changes its level by more than noise would."
        return [none, *_too_short(data, untested)]
    if not untested:
        return []
    return [
        "Changes of level were not looked for: that takes "
        f"{data.attrs['least_checkpoints']} checkpoints with finite values, and there "
        f"are {data.attrs['most_checkpoints']}."
    ]


def _unlisted(data: Any) -> list[str]:
    """A sentence on series that move and are not in the table."""
    n = data.attrs.get("unlisted", 0)
    return [f"{n:,} more series move and are not listed here."] if n else []


def _rows(view: View) -> list[dict[str, Any]]:
    """The changes as records, each with the name of its series and its rank."""
    columns = {str(name): a.values.tolist() for name, a in view.data.data_vars.items()}
    rows = [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
    for row in rows:
        headline = _is_headline(row["measurement"], view.nodes)
        row["series"] = _series(row, headline)
        # Headlines are drawn whatever else moves more.
        row["rank"] = np.inf if headline else row["strength"]
    return rows


def _is_headline(name: str, nodes: Mapping[str, Node]) -> bool:
    """Whether a row's numbers come before others."""
    return name in nodes and nodes[name].section.headline


def _series(row: Mapping[str, Any], headline: bool) -> str:
    """The name of a series in words."""
    quantity = quantity_text(row["quantity"])
    named = f"{quantity} {row['where']}" if row["where"] else quantity
    # A component in the quantity's own name says where it is from.
    if headline or ":" in row["quantity"]:
        return named
    return f"{row['measurement'].replace('_', ' ')}: {named}"


def _timeline(rows: list[dict[str, Any]]) -> Any:
    """A timeline of the changes of headlines, and of the strongest of the others."""
    rank: dict[str, float] = {}
    for row in rows:
        rank[row["series"]] = max(rank.get(row["series"], 0), row["rank"])
    drawn = sorted(rank, key=lambda name: -rank[name])[:MOST_SERIES]
    return change_timeline(
        [
            Move(
                row["series"],
                row["from_step"],
                row["to_step"],
                row["before"],
                row["after"],
                row["strength"],
            )
            for row in rows
            if row["series"] in drawn
        ]
    )


def _table(rows: list[dict[str, Any]]) -> tuple[list[str], list[tuple]]:
    """A header and a row for each change."""
    header = ["between steps", "series", "from", "to", "× noise", "abrupt"]
    cells = [
        (
            f"{step_text(row['from_step'])} – {step_text(row['to_step'])}",
            row["series"],
            f"{row['before']:.4g}",
            f"{row['after']:.4g}",
            f"{row['strength']:.1f}",
            f"{100 * row['share']:.0f}%",
        )
        for row in rows
    ]
    return header, cells


def _busiest(rows: list[dict[str, Any]]) -> str:
    """A sentence on the two checkpoints between which most changes lie."""
    by_step: dict[tuple[int, int], list[dict]] = {}
    for row in rows:
        by_step.setdefault((row["from_step"], row["to_step"]), []).append(row)
    (before, after), most = max(by_step.items(), key=lambda item: len(item[1]))
    strongest = sorted(most, key=lambda row: -row["strength"])[:4]
    names = ", ".join(row["series"] for row in strongest)
    return (
        f"{len(most)} of {len(rows)} changes of level lie between the checkpoints of "
        f"steps {step_text(before)} and {step_text(after)}, the strongest: {names}."
    )


def _too_short(data: xr.Dataset, untested: int) -> list[str]:
    """A sentence on series that are too short, if there are any."""
    if not untested:
        return []
    least = data.attrs["least_checkpoints"]
    return [
        f"{untested:,} series with fewer than {least} finite values were not looked "
        "through for changes."
    ]


SECTION = SectionSpec("changes", draw, findings=findings, measured=False)
