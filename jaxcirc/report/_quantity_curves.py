"""Quantities without axes or with one small axis, as curves over training."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..plots import Curve, CurvePanel, plain
from ._results import by_seed, own_axes

# A panel with more curves cannot be read.
MOST_CURVES = 12


def is_curves(array: xr.DataArray) -> bool:
    """Whether an array's places are few enough to be curves, or are layers."""
    axes = own_axes(array)
    if axes in ((), ("layer",)):
        return True
    return len(axes) == 1 and _is_own(axes[0]) and array.sizes[axes[0]] <= MOST_CURVES


def _is_own(axis: str) -> bool:
    """Whether places on an axis are followed one by one."""
    # Places on these are compared with one another, and not followed one by one.
    return axis not in ("reference_step", "other_layer", "draw")


def panel(
    name: str, array: xr.DataArray, beside: Mapping[str, xr.DataArray]
) -> CurvePanel:
    """All places of one quantity in one panel.

    Args:
        name: The quantity's name: a word, or `METRIC:COMPONENT`.
        array: Numbers with axes `step`, `seed` and at most one more.
        beside: All arrays of the row. `METRIC_chance:COMPONENT` is what chance gives;
            where it does not change over training it is a level, else a curve.
    """
    steps, rest = array["step"].values, list(own_axes(array))
    flat = array.stack(series=rest) if rest else array.expand_dims("series")
    number = flat.sizes["series"]
    # Layers have an order, which a ramp of one colour shows.
    ramp = rest == ["layer"] and number > 1
    curves = []
    for i in range(number):
        one = flat.isel(series=i)
        label = " ".join(f"{dim} {one[dim].item()}" for dim in rest)
        shade = i / (number - 1) if ramp else None
        curves.append(Curve(label, steps, by_seed(one), i, shade=shade))
    metric, _, component = name.partition(":")
    level, more = _chance(array, beside.get(f"{metric}_chance:{component}"))
    return CurvePanel(_title(metric, component, array), [*curves, *more], level)


def _chance(
    array: xr.DataArray, beside: xr.DataArray | None
) -> tuple[float | None, list[Curve]]:
    """The level of chance, or its curve where it changes over training."""
    level = array.attrs.get("chance")
    level = None if level is None else float(level)
    if beside is None:
        return level, []
    found = beside.mean([d for d in beside.dims if d != "step"]).values
    # Chance that moves in the last digit is a level to the eye.
    if np.ptp(found) < 1e-3 * max(1.0, float(np.abs(found).max())):
        return float(found.mean()), []
    steps = beside["step"].values
    return level, [Curve("chance", steps, found[None], 0, dashed=True, faint=True)]


def _title(metric: str, component: str, array: xr.DataArray) -> str:
    """A panel's title in lines: the metric, the component and the units."""
    units = array.attrs.get("units")
    lines = [metric.replace("_", " "), component, f"({units})" if units else ""]
    return "<br>".join(plain(line) for line in lines if line)
