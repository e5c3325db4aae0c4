"""The section on when things move."""

from typing import Any

import numpy as np
import xarray as xr

from ..plots import Move, change_timeline
from ._results import quantity_text, step_text

# A timeline with more rows than this is longer than a screen.
MOST_SERIES = 40


def change_figure(data: xr.Dataset) -> Any:
    """A timeline of changes: those of performance, and the strongest of the others."""
    rows = _rows(data)
    strength: dict[str, float] = {}
    for row in rows:
        own = np.inf if row["measurement"] == "performance" else row["strength"]
        strength[_name(row)] = max(strength.get(_name(row), 0), own)
    drawn = sorted(strength, key=lambda name: -strength[name])[:MOST_SERIES]
    return change_timeline(
        [
            Move(
                _name(row),
                row["from_step"],
                row["to_step"],
                *_levels(row),
                row["strength"],
            )
            for row in rows
            if _name(row) in drawn
        ]
    )


def change_rows(data: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """A table with one row per change."""
    header = ["between steps", "series", "from", "to", "× noise", "abrupt"]
    rows = [
        (
            f"{step_text(row['from_step'])} – {step_text(row['to_step'])}",
            _name(row),
            *(f"{level:.4g}" for level in _levels(row)),
            f"{row['strength']:.1f}",
            f"{100 * row['share']:.0f}%",
        )
        for row in _rows(data)
    ]
    return header, rows


def change_sentences(data: xr.Dataset) -> list[str]:
    """The moment at which most series move, and which; and what was not looked at."""
    tested, untested = data.attrs.get("tested", 0), data.attrs.get("untested", 0)
    rows = _rows(data)
    if rows:
        return [_busiest(rows), *_too_short(data, untested)]
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


def _busiest(rows: list[dict]) -> str:
    by_step: dict[tuple[int, int], list[dict]] = {}
    for row in rows:
        by_step.setdefault((row["from_step"], row["to_step"]), []).append(row)
    (before, after), most = max(by_step.items(), key=lambda item: len(item[1]))
    strongest = sorted(most, key=lambda row: -row["strength"])[:4]
    names = ", ".join(_name(row) for row in strongest)
    return (
        f"{len(most)} of {len(rows)} changes of level lie between the checkpoints of "
        f"steps {step_text(before)} and {step_text(after)}, the strongest: {names}."
    )


def _too_short(data: xr.Dataset, untested: int) -> list[str]:
    if not untested:
        return []
    least = data.attrs["least_checkpoints"]
    return [
        f"{untested:,} series with fewer than {least} finite values were not looked "
        "through for changes."
    ]


def _rows(data: xr.Dataset) -> list[dict]:
    if not data.data_vars:
        return []
    columns = {
        str(name): array.values.tolist() for name, array in data.data_vars.items()
    }
    return [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]


def _levels(row: dict) -> tuple[float, float]:
    return row["before"], row["after"]


def _name(row: dict) -> str:
    quantity = quantity_text(row["quantity"])
    where = f" {row['where']}" if row["where"] else ""
    source = row["measurement"].replace("_", " ")
    plain = source in ("performance", "metrics") or source.startswith("metrics ")
    return f"{quantity}{where}" if plain else f"{source}: {quantity}{where}"
