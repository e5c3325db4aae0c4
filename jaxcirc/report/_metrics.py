"""Sections on metrics of components: curves, heat maps and matrices over training."""

from typing import Any

import numpy as np
import xarray as xr

from ..plots import (
    Curve,
    CurvePanel,
    developmental_curves,
    plain,
    square_matrix,
    step_heatmap,
)
from ._results import head_label, is_series, quantity_text, step_text

# A figure with more panels would be longer than anybody reads.
MOST_PANELS = 12
MOST_CURVES = 12
_HEAD_AXES = (("layer", "head"), ("layer", "kv_head"))


def quantity_figures(data: xr.Dataset) -> list[tuple[str, str, str, Any]]:
    """(suffix of the id, title, text, figure) for every kind of axes there is.

    Quantities per layer are curves, the layers a ramp of one colour; per head, a heat
    map over steps; between checkpoints or between layers, a matrix.
    """
    shown = {
        str(name): array for name, array in data.data_vars.items() if is_series(array)
    }
    axes = {
        name: tuple(str(d) for d in array.dims if d not in ("step", "seed"))
        for name, array in shown.items()
    }
    figures = []
    curves = {n: a for n, a in shown.items() if _is_curve(axes[n], a)}
    if curves:
        panels = [_panel(n, a, data) for n, a in list(curves.items())[:MOST_PANELS]]
        text = _meanings(curves)
        if len(curves) > MOST_PANELS:
            text += f" The first {MOST_PANELS} of {len(curves)}; all are in the CSV."
        figures.append(("", "", text, developmental_curves(panels)))
    heads = {n: a for n, a in shown.items() if axes[n] in _HEAD_AXES}
    for name_of_axis in ("head", "kv_head"):
        own = {n: a for n, a in heads.items() if name_of_axis in a.dims}
        if own:
            text = _meanings(own)
            figures.append((f"-{name_of_axis}s", "by head", text, _head_map(own)))
    layers = {n: a for n, a in curves.items() if a.sizes.get("layer", 1) > 2}
    if layers:
        figure = _layer_map(layers)
        figures.append(("-layers", "by layer", "The same, layer × step.", figure))
    steps = {n: a for n, a in shown.items() if "reference_step" in a.dims}
    if steps:
        text = f"{_meanings(steps)} Every checkpoint against every other."
        figures.append(("-steps", "between checkpoints", text, _step_matrix(steps)))
    other = {n: a for n, a in shown.items() if "other_layer" in a.dims}
    if other:
        last = step_text(int(data["step"].values[-1]))
        text = f"{_meanings(other)} Every layer against every other, at step {last}."
        figures.append(("-between", "between layers", text, _layer_matrix(other)))
    pairs = {
        n: a for n, a in shown.items() if axes[n][2:] == ("from_layer", "from_head")
    }
    if pairs:
        last = step_text(int(data["step"].values[-1]))
        text = f"{_meanings(pairs)} At step {last}; rows read what columns write."
        figures.append(("-pairs", "between heads", text, _pair_matrix(pairs)))
    return figures


def _is_curve(axes: tuple[str, ...], array: xr.DataArray) -> bool:
    if axes in ((), ("layer",), ("split",)):
        return True
    known = ("head", "kv_head", "reference_step", "other_layer", "from_head", "draw")
    size = np.prod([array.sizes[a] for a in axes])
    return not set(axes) & set(known) and bool(size <= MOST_CURVES)


def _panel(name: str, array: xr.DataArray, data: xr.Dataset) -> CurvePanel:
    rest = [d for d in array.dims if d not in ("step", "seed")]
    flat = array.stack(series=rest) if rest else array.expand_dims("series")
    number = flat.sizes["series"]
    ramp = rest == ["layer"] and number > 1
    curves = []
    for i in range(number):
        one = flat.isel(series=i)
        label = " ".join(f"{dim} {one[dim].item()}" for dim in rest)
        shade = i / (number - 1) if ramp else None
        curves.append(Curve(label, array["step"].values, _seeds(one), i, shade=shade))
    metric, _, component = name.partition(":")
    chance = array.attrs.get("chance")
    level = None if chance is None else float(chance)
    beside = data.data_vars.get(f"{metric}_chance:{component}")
    if beside is not None:
        found = beside.mean([d for d in beside.dims if d != "step"]).values
        if np.ptp(found) < 1e-3 * max(1.0, float(np.abs(found).max())):
            level = float(found.mean())
        else:
            steps = beside["step"].values
            curves.append(
                Curve("chance", steps, found[None], 0, dashed=True, faint=True)
            )
    units = array.attrs.get("units")
    lines = [metric.replace("_", " "), component, f"({units})" if units else ""]
    title = "<br>".join(plain(line) for line in lines if line)
    return CurvePanel(title, curves, level)


def _head_map(arrays: dict[str, xr.DataArray]) -> Any:
    values, rows = {}, []
    for name, array in arrays.items():
        head = "head" if "head" in array.dims else "kv_head"
        mean = _mean(array).transpose("layer", head, "step")
        rows = [head_label(*i) for i in np.ndindex(mean.shape[:2])]
        values[quantity_text(name)] = mean.values.reshape(len(rows), -1)
    return step_heatmap(values, rows, _steps(arrays), _units(arrays))


def _layer_map(arrays: dict[str, xr.DataArray]) -> Any:
    values = {
        quantity_text(n): _mean(a).transpose("layer", "step").values
        for n, a in arrays.items()
    }
    first = next(iter(arrays.values()))
    rows = [str(layer) for layer in first["layer"].values]
    return step_heatmap(values, rows, _steps(arrays), _units(arrays), title="layer")


def _step_matrix(arrays: dict[str, xr.DataArray]) -> Any:
    values = {}
    for name, array in arrays.items():
        mean = _mean(array)
        rest = [d for d in mean.dims if d not in ("step", "reference_step")]
        mean = mean.transpose(*rest, "step", "reference_step")
        for index in np.ndindex(mean.shape[: len(rest)]):
            where = "".join(f" {d} {i}" for d, i in zip(rest, index, strict=True))
            # A step that was not measured, or failed, has no row; nor then a column.
            rows = mean[index]
            columns = rows.sel(reference_step=rows["step"].values)
            values[quantity_text(name) + where] = columns.values
    labels = [f"{step:,}" for step in _steps(arrays)]
    return square_matrix(values, labels, rows="step", columns="compared with step")


def _layer_matrix(arrays: dict[str, xr.DataArray]) -> Any:
    values, labels = {}, []
    for name, array in arrays.items():
        last = _mean(array).isel(step=-1)
        rest = [d for d in last.dims if d not in ("layer", "other_layer")]
        last = last.mean(rest).transpose("layer", "other_layer")
        values[quantity_text(name)] = last.values
        labels = [str(layer) for layer in last["layer"].values]
    return square_matrix(values, labels, rows="layer", columns="layer (other)")


def _pair_matrix(arrays: dict[str, xr.DataArray]) -> Any:
    values, labels = {}, []
    for name, array in arrays.items():
        last = _mean(array).isel(step=-1)
        last = last.transpose("layer", "head", "from_layer", "from_head")
        labels = [head_label(*i) for i in np.ndindex(last.shape[:2])]
        values[quantity_text(name)] = last.values.reshape(len(labels), -1)
    return square_matrix(values, labels, rows="reader", columns="writer")


def _meanings(arrays: dict[str, xr.DataArray]) -> str:
    """What each metric means, once."""
    found = {n.partition(":")[0]: a.attrs.get("long_name") for n, a in arrays.items()}
    said = [f"{n.replace('_', ' ')}: {text}" for n, text in found.items() if text]
    return ". ".join(said) + "." if said else ""


def _mean(array: xr.DataArray) -> xr.DataArray:
    return array.mean("seed", skipna=False)


def _steps(arrays: dict[str, xr.DataArray]) -> list[int]:
    return next(iter(arrays.values()))["step"].values.tolist()


def _units(arrays: dict[str, xr.DataArray]) -> dict[str, str]:
    return {quantity_text(n): str(a.attrs.get("units", "")) for n, a in arrays.items()}


def _seeds(array: xr.DataArray) -> np.ndarray:
    return array.transpose("seed", "step").values
