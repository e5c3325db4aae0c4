"""Quantities with axes of their own, as heat maps over steps or between them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..plots import square_matrix, step_heatmap
from ._axes import sizes_of, with_heads
from ._results import own_axes, quantity_text

Arrays = Mapping[str, xr.DataArray]
# More rows are finer than a screen: neighbours are drawn as their mean.
MOST_ROWS = 160


def step_map(arrays: Arrays, axis: str) -> Any:
    """A heat map: a row for each place of an axis, a column for each checkpoint.

    Args:
        arrays: Quantities with `step`, `seed` and one more axis, or those of heads.
        axis: The name of that axis.
    """
    values, rows = {}, []
    for name, array in arrays.items():
        mean = with_heads(seed_mean(array)).transpose(axis, "step")
        mean = coarse(mean, {axis: MOST_ROWS})
        rows = labels(mean, axis)
        values[quantity_text(name)] = mean.values
    first = next(iter(arrays.values()))
    units = {quantity_text(n): str(a.attrs.get("units", "")) for n, a in arrays.items()}
    # The label of a head says that it is one.
    title = "layer and head" if axis in ("head", "kv_head") else axis.replace("_", " ")
    return step_heatmap(values, rows, first["step"].values.tolist(), units, title=title)


def between_steps(arrays: Arrays) -> Any:
    """A matrix of every checkpoint against every other, for each place of other axes.

    Args:
        arrays: Quantities with `step`, `reference_step`, `seed` and other axes.
    """
    values = {}
    for name, array in arrays.items():
        mean = seed_mean(array)
        rest = [d for d in own_axes(mean) if d != "reference_step"]
        mean = mean.transpose(*rest, "step", "reference_step")
        for index in np.ndindex(mean.shape[: len(rest)]):
            where = "".join(f" {d} {i}" for d, i in zip(rest, index, strict=True))
            # A step that was not measured, or failed, has no row; nor then a column.
            rows = mean[index]
            columns = rows.sel(reference_step=rows["step"].values)
            values[quantity_text(name) + where] = columns.values
    steps = next(iter(arrays.values()))["step"].values.tolist()
    names = [f"{step:,}" for step in steps]
    return square_matrix(values, names, rows="step", columns="compared with step")


def seed_mean(array: xr.DataArray) -> xr.DataArray:
    """The mean over seeds, NaN where one of them is; an array without is left alone."""
    return array.mean("seed", skipna=False) if "seed" in array.dims else array


def coarse(array: xr.DataArray, most: Mapping[str, int]) -> xr.DataArray:
    """Means of neighbours, where an axis has more places than a screen shows.

    Args:
        array: With labels on the axes.
        most: The greatest number of places per axis.

    Returns:
        The array with every axis at most so long. The label of a mean is that of the
        first of its places.
    """
    windows = {d: -(-array.sizes[d] // n) for d, n in most.items()}
    windows = {d: n for d, n in windows.items() if n > 1}
    if not windows:
        return array
    firsts = {d: array[d].values[::n] for d, n in windows.items()}
    # Labels may be text, which has no mean.
    bare = array.astype(float).drop_vars([d for d in windows if d in array.coords])
    made = bare.coarsen(windows, boundary="pad").mean()
    return made.assign_coords(firsts)


def coarse_text(array: xr.DataArray, most: Mapping[str, int]) -> str:
    """A sentence on neighbours that were averaged, with a blank before it, or nothing.

    Args:
        array: The array before it was made coarser.
        most: The greatest number of places per axis, as for `coarse`.
    """
    sizes = sizes_of(array)
    windows = [-(-sizes[axis] // n) for axis, n in most.items()]
    if max(windows) == 1:
        return ""
    cell = " × ".join(str(n) for n in windows)
    return f" Each cell is the mean of {cell} neighbouring places."


def labels(array: xr.DataArray, axis: str) -> list[str]:
    """The labels of an axis as text, which need not differ from one another.

    Args:
        array: A quantity.
        axis: One of its axes.
    """
    return [str(label) for label in array[axis].values]
