"""When each measured series of a study moves."""

import warnings
from collections.abc import Iterator

import numpy as np
import xarray as xr

from ._change_points import (
    LEAST_CHECKPOINTS,
    Change as Change,
    changes as changes,
)

# Of one quantity, such as a score of heads, a report lists at most this many series.
MOST_SERIES = 3
# Axes whose places are series of their own; matrices of checkpoints are none.
_AXES = ("split", "layer", "head", "kv_head", "rank", "part")


def change_table(tree: xr.DataTree, *, most: int | None = MOST_SERIES) -> xr.Dataset:
    """When every series of a study moves, one row per change, in order of steps.

    Seeds, where there are any, are averaged. Quantities whose attribute `role` says
    that they are no series, such as error bars, are not looked at.

    Args:
        tree: What `Study.open` returns, or nodes of your own with an axis `step`.
        most: Of a quantity with many series, such as one for each head, how many are
            listed, those that move most first; None lists all that move.

    Returns:
        With an axis `change`: the series' `measurement`, `quantity` and `where`; the
        steps of the checkpoints on both sides, `from_step` and `to_step`; the levels
        `before` and `after`; `strength` and `share` (see `Change`). Attributes: how
        many series were `tested`, how many were `untested` for having fewer finite
        values than `least_checkpoints`, `most_checkpoints`, the most that one has, and
        how many series move and are `unlisted`, being more than `most`.

    Example:
        >>> import numpy as np
        >>> import xarray as xr
        >>> from jaxcirc.study import change_table
        >>> steps, loss = 10 * np.arange(20), np.repeat([3.0, 1.0], 10)
        >>> node = xr.Dataset({"loss": ("step", loss)}, coords={"step": steps})
        >>> table = change_table(xr.DataTree.from_dict({"performance": node}))
        >>> table["from_step"].item(), table["to_step"].item(), table["after"].item()
        (90, 100, 1.0)
    """
    looked = [
        _of_quantity(str(name), str(quantity), array, most)
        for name, node in tree.children.items()
        if name not in ("training", "changes")
        for quantity, array in node.to_dataset().data_vars.items()
        if _is_series(array)
    ]
    rows = [row for rows, _, _ in looked for row in rows]
    rows.sort(key=lambda row: (row["to_step"], -row["strength"]))
    names = ("measurement", "quantity", "where", "from_step", "to_step", "before")
    names += ("after", "strength", "share")
    columns = {n: ("change", np.array([row[n] for row in rows])) for n in names}
    lengths = [length for _, some, _ in looked for length in some]
    tested = sum(length >= LEAST_CHECKPOINTS for length in lengths)
    attrs = {
        "measurement": "changes",
        "tested": tested,
        "untested": len(lengths) - tested,
        "least_checkpoints": LEAST_CHECKPOINTS,
        "most_checkpoints": max(lengths, default=0),
        "unlisted": sum(unlisted for _, _, unlisted in looked),
    }
    return xr.Dataset(columns if rows else {}, attrs=attrs)


def with_changes(tree: xr.DataTree) -> xr.DataTree:
    """The results with a node `changes`, which holds what `change_table` finds in them.

    The report draws the node like a measurement. The tree that is given stays as it is;
    a node `changes` that it already has is replaced and not looked through. All series
    are read from disk.

    Args:
        tree: What `Study.open` returns, or nodes of your own with an axis `step`.

    Returns:
        A tree with one node more.

    Example:
        >>> import numpy as np
        >>> import xarray as xr
        >>> from jaxcirc.study import with_changes
        >>> steps, loss = 10 * np.arange(20), np.repeat([3.0, 1.0], 10)
        >>> node = xr.Dataset({"loss": ("step", loss)}, coords={"step": steps})
        >>> tree = with_changes(xr.DataTree.from_dict({"performance": node}))
        >>> sorted(tree.children), tree["changes"].attrs["tested"]
        (['changes', 'performance'], 1)
    """
    return tree.assign({"changes": xr.DataTree(change_table(tree))})


def _is_series(array: xr.DataArray) -> bool:
    """Whether a quantity is one or several numbers followed over steps."""
    if "step" not in array.dims or array.dtype.kind not in "fiub":
        return False
    if array.attrs.get("role", "series") != "series":
        return False
    return not set(array.dims) - {"step", "seed", *_AXES}


def _of_quantity(
    name: str, quantity: str, array: xr.DataArray, most: int | None
) -> tuple[list[dict], list[int], int]:
    """Rows of the series that move most, finite values of each series, and the rest."""
    steps = array["step"].values
    found, lengths = [], []
    for where, series in _series(array):
        lengths.append(int(np.isfinite(series).sum()))
        rows = [
            {
                "measurement": name,
                "quantity": quantity,
                "where": where,
                "from_step": int(steps[_last_finite(series[: change.place])]),
                "to_step": int(steps[change.place]),
                **change._asdict(),
            }
            for change in changes(series)
        ]
        if rows:
            found.append(rows)
    found.sort(key=lambda rows: -max(row["strength"] for row in rows))
    listed = found[:most]
    return [row for rows in listed for row in rows], lengths, len(found) - len(listed)


def _last_finite(values: np.ndarray) -> int:
    """The index of the last finite value."""
    return int(np.flatnonzero(np.isfinite(values))[-1])


def _series(array: xr.DataArray) -> Iterator[tuple[str, np.ndarray]]:
    """Each series of a quantity with the words for its place, averaged over seeds."""
    mean = array.astype(np.float64)
    if "seed" in array.dims:
        with warnings.catch_warnings():
            # A series that is nowhere finite has no mean, and no changes.
            warnings.simplefilter("ignore", RuntimeWarning)
            mean = mean.mean("seed", skipna=True)
    rest = [dim for dim in mean.dims if dim != "step"]
    mean = mean.transpose("step", *rest)
    for index in np.ndindex(mean.shape[1:]):
        labels = [
            _label(str(dim), i, mean[dim].values)
            for dim, i in zip(rest, index, strict=True)
        ]
        where = " ".join(labels)
        if rest[:2] == ["layer", "head"]:
            where = f"L{index[0]}H{index[1]}"
        yield where, mean.values[(slice(None), *index)]


def _label(dim: str, place: int, values: np.ndarray) -> str:
    """A place on an axis in words; layers have their own numbers, of those measured."""
    if dim in ("split", "part"):
        return f"{values[place]}"
    return f"{dim} {values[place] if dim == 'layer' else place}"
