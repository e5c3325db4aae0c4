"""Series as flat rows: the table of the page, and what its buttons save."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from ._axes import places_text
from ._budget import CSV_BYTES
from ._nodes import measured, nodes_of
from ._results import is_listed, is_numeric, is_series, own_axes, quantity_text
from ._section import Node

LONG_HEADER = ["measurement", "quantity", "step", "seed", "where", "value"]
# Wider tables are not read on a screen; the CSV has the rest.
MOST_COLUMNS = 24
# Longer ones of numbers without steps neither.
MOST_ROWS = 200

Arrays = Sequence[tuple[str, str, xr.DataArray]]


class Table(NamedTuple):
    """Columns over steps, or numbers that have none one below the other.

    Args:
        header: Name of each column, the step first where there are steps.
        rows: One for each step; empty text where nothing was measured.
        text: What is in it, and what is not.
    """

    header: list[str]
    rows: list[tuple]
    text: str


class Listing(NamedTuple):
    """The part of a study's results that its CSV holds.

    Args:
        arrays: (row of the study, quantity, array) of each that it holds.
        left_out: Names of what would make the page too heavy.
    """

    arrays: Arrays
    left_out: list[str]


def numbers_table(tree: xr.DataTree) -> Table:
    """The table of the study's headline over steps, or else of what was measured.

    Numbers are means over seeds, in a row for each step. A study in which nothing has a
    step has a row for each number instead, and one of details alone what they are on
    average.

    Args:
        tree: A study's results. Of wide quantities, only what is shown is read.
    """
    every = measured(nodes_of(tree))
    headlines = {k: node for k, node in every.items() if node.section.headline}
    told = any(node.data.data_vars for node in headlines.values())
    chosen = {k: n.data for k, n in (headlines if told else every).items()}
    arrays = _most_telling(chosen)
    over = [item for item in arrays if "step" in item[2].dims]
    several = len(chosen) > 1
    return _over_steps(over, several=several) if over else _one_by_one(arrays)


def listing(tree: xr.DataTree, budget: int = CSV_BYTES) -> Listing:
    """Every quantity but details, as long as the page does not become too heavy.

    Args:
        tree: A study's results. Nothing is read.
        budget: Bytes of CSV. Of too many numbers, the largest arrays are left out.
    """
    nodes = nodes_of(tree)
    every = {k: n.data for k, n in nodes.items() if n.section.measured or _steps(n)}
    arrays = _arrays(every, is_listed) or _arrays(_summaries(every), is_numeric)
    # A tree's names hold no slashes; what the study calls a row may.
    named = {name: str(data.attrs.get("id", name)) for name, data in every.items()}
    arrays = [(named[name], quantity, array) for name, quantity, array in arrays]
    sizes = [_bytes(*item) for item in arrays]
    kept, room = set(), budget
    # Small ones first: many series of one number are worth more than one matrix.
    for place in np.argsort(sizes, kind="stable"):
        if sizes[place] <= room:
            kept.add(int(place))
            room -= sizes[place]
    left_out = [
        f"{quantity_text(quantity)} of {name}"
        for i, (name, quantity, _) in enumerate(arrays)
        if i not in kept
    ]
    return Listing([item for i, item in enumerate(arrays) if i in kept], left_out)


def _steps(node: Node) -> bool:
    """Whether a node has numbers over steps."""
    # What is derived of others, such as a table of changes, is listed in its section.
    return "step" in node.data.dims


def long_rows(listed: Listing) -> Iterator[tuple]:
    """Every number as a row.

    Args:
        listed: What is in the CSV; each array is read when its turn comes.

    Yields:
        measurement, quantity, step, seed, where (`layer=0 head=1`), value. What was
        measured once has an empty step and seed.
    """
    for name, quantity, array in listed.arrays:
        leading = [dim for dim in ("step", "seed") if dim in array.dims]
        rest = own_axes(array)
        array = array.transpose(*leading, *rest)
        values = array.values
        labels = {str(dim): array[dim].values for dim in array.dims}
        for index in np.ndindex(values.shape):
            at = {dim: labels[dim][i] for dim, i in zip(labels, index, strict=True)}
            where = " ".join(f"{dim}={at[dim]}" for dim in rest)
            value = f"{float(values[index]):.7g}"
            yield name, quantity, at.get("step", ""), at.get("seed", ""), where, value


def _most_telling(nodes: Mapping[str, xr.Dataset]) -> Arrays:
    """Series; where there are none what is listed, and at last what is drawn."""
    return (
        _arrays(nodes, is_series)
        or _arrays(nodes, is_listed)
        or _arrays(_summaries(nodes), is_numeric)
    )


def _arrays(nodes: Mapping[str, xr.Dataset], fits) -> Arrays:
    """(row, quantity, array) of every array that fits a question."""
    return [
        (name, str(quantity), array)
        for name, data in nodes.items()
        for quantity, array in data.data_vars.items()
        if fits(array)
    ]


def _summaries(nodes: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Least, mean and greatest of details, which are too many to be listed."""
    made = {}
    for name, data in nodes.items():
        columns = {}
        for quantity, array in data.data_vars.items():
            if is_numeric(array) and array.size:
                axes = own_axes(array)
                columns[f"{quantity} (least)"] = array.min(axes)
                columns[f"{quantity} (mean)"] = array.astype(float).mean(axes)
                columns[f"{quantity} (greatest)"] = array.max(axes)
        made[name] = xr.Dataset(columns)
    return made


def _over_steps(arrays: Arrays, *, several: bool) -> Table:
    """A table with a row for each step and a column for each series."""
    columns = _columns(arrays, several=several)
    series = list(itertools.islice(columns, MOST_COLUMNS))
    steps = sorted({step for _, values in series for step in values})
    rows = [
        (step, *(f"{v[step]:.4g}" if step in v else "" for _, v in series))
        for step in steps
    ]
    number = sum(_width(array) for _, _, array in arrays)
    text = "Means over seeds."
    if number > len(series):
        text += f" The first {len(series)} of {number:,} series; the CSV has all."
    return Table(["step", *(label for label, _ in series)], rows, text)


def _columns(
    arrays: Arrays, *, several: bool
) -> Iterator[tuple[str, dict[int, float]]]:
    """(name, step -> mean over seeds) of every series."""
    for name, quantity, array in arrays:
        rest = own_axes(array)
        # The table ends after so many columns, so that more would be read in vain.
        some = array.isel({dim: slice(MOST_COLUMNS) for dim in rest})
        mean = some.astype(float).mean("seed").transpose("step", *rest)
        steps, values = mean["step"].values.tolist(), mean.values
        labels = {dim: mean[dim].values.tolist() for dim in rest}
        for index in np.ndindex(mean.shape[1:]):
            at = {dim: labels[dim][i] for dim, i in zip(rest, index, strict=True)}
            label = f"{places_text(at)} {quantity_text(quantity)}".strip()
            of = f"{name}: " if several else ""
            column = values[(slice(None), *index)].tolist()
            yield of + label, dict(zip(steps, column, strict=True))


def _one_by_one(arrays: Arrays) -> Table:
    """A table with a row for each number."""
    every = long_rows(Listing(arrays, []))
    rows = [
        (name, quantity_text(quantity), where.replace("=", " "), f"{float(value):.4g}")
        for name, quantity, _, _, where, value in itertools.islice(every, MOST_ROWS)
    ]
    number = sum(array.size for _, _, array in arrays)
    text = "What was measured once."
    if number > len(rows):
        text += f" The first {len(rows)} of {number:,} numbers; the CSV has all."
    return Table(["measurement", "quantity", "where", "value"], rows, text)


def _width(array: xr.DataArray) -> int:
    """The number of series in an array."""
    return int(np.prod([array.sizes[dim] for dim in own_axes(array)]))


def _bytes(name: str, quantity: str, array: xr.DataArray) -> int:
    """Bytes of an array as CSV, as if every row were as long as the longest."""
    longest = {
        str(dim): max((len(str(label)) for label in array[dim].values), default=0)
        for dim in array.dims
    }
    axes = sum(longest[dim] + len(dim) + 2 for dim in own_axes(array))
    steps = longest.get("step", 0) + longest.get("seed", 0)
    # Seven digits, sign, point and exponent; five commas, and the end of a line.
    return array.size * (len(name) + len(quantity) + axes + steps + 14 + 7)
