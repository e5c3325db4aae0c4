"""A cell as single numbers with names."""

import itertools
from typing import Any

import xarray as xr

# A quantity with more numbers in a cell has no curve for each that anybody looks at,
# and trackers slow down with names rather than with steps.
MOST = 1024


def scalars(row: str, cell: xr.Dataset) -> dict[str, float]:
    """The numbers of a cell by names such as `attention/entropy/layer_0/head_3`.

    Series and diagnostics are taken. Details, which are too many to list, are left to
    the report, and so is a quantity with more than 1024 numbers in a cell. A single
    seed has no part in the name; of several, each has its own: `seed_0`.

    Args:
        row: The row's id, which begins each name.
        cell: What the row gave at a step.

    Returns:
        Name -> number, as a Python float; NaN and infinities as they are.

    Example:
        >>> cell = xr.Dataset({"loss": (("seed", "layer"), [[0.5, 0.25]])})
        >>> scalars("probe", cell)
        {'probe/loss/layer_0': 0.5, 'probe/loss/layer_1': 0.25}
    """
    found: dict[str, float] = {}
    for quantity, array in cell.data_vars.items():
        is_number = array.dtype.kind in "fiub"
        if not is_number or array.attrs.get("role") == "detail" or array.size > MOST:
            continue
        if array.sizes.get("seed") == 1:
            array = array.squeeze("seed", drop=True)
        axes = [[_label(dim, x) for x in _labels(array, dim)] for dim in array.dims]
        values = array.values.ravel().tolist()
        for places, value in zip(itertools.product(*axes), values, strict=True):
            found["/".join([row, str(quantity), *places])] = float(value)
    return found


def _labels(array: xr.DataArray, dim: Any) -> list[Any]:
    """The labels of an axis; its places where it has none."""
    return array[dim].values.tolist()


def _label(dim: Any, label: Any) -> str:
    """One place of an axis as a part of a name."""
    # Words say themselves what they are of; a number needs its axis. A slash would be
    # read as another level of names.
    return label.replace("/", "|") if isinstance(label, str) else f"{dim}_{label}"
