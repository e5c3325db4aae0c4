"""How heavy a page may be, and what is left out of one that would be heavier.

A page is opened in a browser, sent by mail and kept under version control. Without a
limit, one array per edge and checkpoint would make it hundreds of megabytes.
"""

from pathlib import Path
from typing import NamedTuple

# Figures, explorers and tables share this; plotly itself takes another 5 MB.
PAGE_BYTES = 12_000_000
# The CSV of every number may take this.
CSV_BYTES = 4_000_000
# Of the explorers alone, and of one row's: figures come first, since a page without
# sliders still shows everything.
EXPLORER_BYTES, ROW_BYTES = 8_000_000, 6_000_000
# Longer tables are not read on a screen.
TABLE_ROWS = 1_000


class Part(NamedTuple):
    """A block as the page holds it: text, JSON and HTML.

    One that cannot be drawn has no figure, and says why.

    Args:
        id: What links to it, from which a unique address is made.
        title: The heading.
        text: What stands under it.
        figure: JSON for plotly.
        explorer: JSON for the section's script.
        controls: HTML of what the explorer is moved with.
        source: The section's file, beside which the script is.
        table: Header and rows.
        failed: Whether the text says why there is nothing.
    """

    id: str
    title: str
    text: str
    figure: str | None = None
    explorer: str | None = None
    controls: str = ""
    source: Path | None = None
    table: tuple[list[str], list[tuple]] | None = None
    failed: bool = False


def share(rows: int) -> int:
    """Bytes that the explorers of one row of a study may take.

    Args:
        rows: Number of the study's rows that may have explorers.
    """
    return min(ROW_BYTES, EXPLORER_BYTES // max(rows, 1))


def within_budget(parts: list[Part], budget: int = PAGE_BYTES) -> list[Part]:
    """The parts, without what would make the page too heavy.

    Controls are left out before figures, and what is left out is said.

    Args:
        parts: Parts in the order of the page; those that come first have precedence.
        budget: Bytes for all of them.

    Returns:
        As many parts, together no heavier than the budget but for their text.
    """
    kept, room = [_short_table(part) for part in parts], budget
    for what in ("table", "figure", "explorer"):
        for place, part in enumerate(kept):
            size = _size(part, what)
            if size > room:
                kept[place] = _without(part, what, size)
            else:
                room -= size
    return kept


def _size(part: Part, what: str) -> int:
    """Bytes that one thing of a part adds to the page."""
    value = getattr(part, what)
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value.encode())
    return sum(len(f"<td>{cell}</td>".encode()) for row in value[1] for cell in row)


def _without(part: Part, what: str, size: int) -> Part:
    """A part with a sentence in place of what would be too heavy."""
    words = {"explorer": "sliders", "figure": "figure", "table": "table"}
    said = (
        f" The {words[what]} would add {size / 1e6:.1f} MB to the page, which is too "
        "much; the run's folder has the numbers."
    )
    lighter = part._replace(**{what: None}, text=f"{part.text}{said}".strip())
    # Nothing could move controls without their data, nor show it without a figure.
    moved = what in ("explorer", "figure")
    return lighter._replace(explorer=None, controls="") if moved else lighter


def _short_table(part: Part) -> Part:
    """A part whose table is cut to what is read on a screen."""
    if part.table is None or len(part.table[1]) <= TABLE_ROWS:
        return part
    header, rows = part.table
    said = f" The table has the first {TABLE_ROWS:,} of {len(rows):,} rows."
    return part._replace(table=(header, rows[:TABLE_ROWS]), text=part.text + said)
