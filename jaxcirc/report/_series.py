"""Series as flat rows: the table of the page, and what its buttons save."""

import csv
import io
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from ._results import head_label, is_listed, is_series, kind_of, quantity_text, results

LONG_HEADER = ["measurement", "quantity", "step", "seed", "where", "value"]
# Wider tables are not read on a screen; the CSV has the rest.
MOST_COLUMNS = 24
# What spreadsheets take for the beginning of a formula, in both widths.
_FORMULA = tuple("=+@\t\r\n＝＋－＠")


class Table(NamedTuple):
    """Columns over steps.

    Args:
        header: Name of each column, the step first.
        rows: One for each step; empty text where nothing was measured.
        text: What is in it, and what is not.
    """

    header: list[str]
    rows: list[tuple]
    text: str


def numbers_table(tree: xr.DataTree) -> Table:
    """How well the task is done, over steps, or else whatever was measured.

    Means over seeds; a row for each step. Without any number, it has no rows.
    """
    nodes = {k: d for k, d in results(tree).items() if k not in ("training", "changes")}
    chosen = {k: d for k, d in nodes.items() if kind_of(k, d) == "performance"}
    if not any(data.data_vars for data in chosen.values()):
        chosen = nodes
    series = list(itertools.islice(_columns(chosen), MOST_COLUMNS))
    steps = sorted({step for _, values in series for step in values})
    rows = [
        (step, *(f"{v[step]:.4g}" if step in v else "" for _, v in series))
        for step in steps
    ]
    number = sum(_width(array) for _, _, array in _series(chosen))
    text = "Means over seeds."
    if number > len(series):
        text += f" The first {len(series)} of {number:,} series; the CSV has all."
    return Table(["step", *(label for label, _ in series)], rows, text)


def long_rows(tree: xr.DataTree) -> Iterator[tuple]:
    """Every number but details, such as patterns and draws.

    Yields:
        measurement, quantity, step, seed, where (`layer=0 head=1`), value.
    """
    for name, data in results(tree).items():
        for variable, array in data.data_vars.items():
            if not is_listed(array):
                continue
            array = array.transpose("step", "seed", ...)
            rest = array.dims[2:]
            steps, seeds = array["step"].values, array["seed"].values
            labels = [array[dim].values for dim in rest]
            for index in np.ndindex(array.shape):
                where = " ".join(
                    f"{dim}={values[i]}"
                    for dim, values, i in zip(rest, labels, index[2:], strict=True)
                )
                value = f"{float(array.values[index]):.7g}"
                own = data.attrs.get("id", name)
                yield own, variable, steps[index[0]], seeds[index[1]], where, value


def to_csv(header: list[str], rows: list[tuple] | Iterator[tuple]) -> str:
    """Rows as the text of a CSV file, in which no cell is a formula.

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
    """A cell which no spreadsheet runs: an apostrophe marks text as text."""
    if not isinstance(cell, str):
        return cell
    runs = cell.startswith(_FORMULA) or (cell.startswith("-") and not _is_number(cell))
    return f"'{cell}" if runs else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _series(nodes: Mapping[str, xr.Dataset]) -> Iterator[tuple[str, str, xr.DataArray]]:
    """(node, quantity, array) of what is followed over steps."""
    for name, data in nodes.items():
        for quantity, array in data.data_vars.items():
            if is_series(array):
                yield name, str(quantity), array


def _columns(
    nodes: Mapping[str, xr.Dataset],
) -> Iterator[tuple[str, dict[int, float]]]:
    """(name, step -> mean over seeds) of every series."""
    for name, quantity, array in _series(nodes):
        mean = array.astype(float).mean("seed")
        rest = [str(dim) for dim in mean.dims if dim != "step"]
        mean = mean.transpose("step", *rest)
        steps = mean["step"].values.tolist()
        for index in np.ndindex(mean.shape[1:]):
            labels = [
                mean[dim].values.tolist()[i] for dim, i in zip(rest, index, strict=True)
            ]
            places = dict(zip(rest, labels, strict=True))
            label = f"{_where(places)} {quantity_text(quantity)}".strip()
            values = mean.values[(slice(None), *index)].tolist()
            of = f"{name}: " if len(nodes) > 1 else ""
            yield of + label, dict(zip(steps, values, strict=True))


def _width(array: xr.DataArray) -> int:
    sizes = [size for dim, size in array.sizes.items() if dim not in ("step", "seed")]
    return int(np.prod(sizes)) if sizes else 1


def _where(places: Mapping[str, Any]) -> str:
    if list(places)[:2] == ["layer", "head"]:
        own = {k: v for k, v in places.items() if k not in ("layer", "head")}
        return f"{head_label(places['layer'], places['head'])} {_where(own)}".strip()
    plain = ("split", "part")
    return " ".join(f"{v}" if k in plain else f"{k} {v}" for k, v in places.items())
