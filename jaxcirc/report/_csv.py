"""Rows as CSV that no spreadsheet runs."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

# Spreadsheets take these for the beginning of a formula, in both widths.
_FORMULA = tuple("=+@\t\r\n＝＋－＠")


def to_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as the text of a CSV file, in which no cell is a formula.

    Args:
        header: The first row.
        rows: The others.

    Returns:
        Lines that end in a line feed. A cell that a spreadsheet would run begins with
        an apostrophe, which marks text as text.

    Example:
        >>> print(to_csv(["a", "b"], [("=1+1", "-0.5")]), end="")
        a,b
        '=1+1,-0.5
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_inert(cell) for cell in header)
    writer.writerows([_inert(cell) for cell in row] for row in rows)
    return text.getvalue()


def _inert(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    if not isinstance(cell, str):
        return cell
    runs = cell.startswith(_FORMULA) or (cell.startswith("-") and not _is_number(cell))
    return f"'{cell}" if runs else cell


def _is_number(text: str) -> bool:
    """Whether a text is a number, so that a minus in front is only a sign."""
    try:
        float(text)
    except ValueError:
        return False
    return True
