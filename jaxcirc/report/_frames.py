"""Matrices over training as a picture and what its sliders need."""

import base64
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from ..plots import colour_scale, matrix_heatmap
from ._axes import axes_of, places_text, sizes_of, with_heads
from ._quantity_maps import coarse, coarse_text, labels, seed_mean
from ._results import quantity_text, step_text
from ._thin import thinned, thinned_text

# The side of a matrix that is drawn; a screen does not show finer cells.
MOST_PLACES = 480
# More matrices behind one slider are not looked through.
MOST_CHOICES = 12
# Two bytes a cell, of which base64 makes eight thirds.
_BYTES = 8 / 3
# The level that stands for a cell without a number.
_MISSING = 2**16 - 1


class Frames(NamedTuple):
    """A heat map, what its sliders show, and what has been left out.

    Args:
        figure: The first matrix at the last step.
        explorer: Steps, choices and all matrices; None where there is only one.
        text: Sentences, each with a blank before it.
    """

    figure: Any
    explorer: dict[str, Any] | None
    text: str


def frames(arrays: Mapping[str, xr.DataArray], budget: int) -> Frames:
    """Heat maps of quantities that have the same two last axes.

    A quantity with exactly two axes is shown at as many steps as the budget allows;
    of one with more axes, every matrix is a choice, and it is shown at the last step.
    Only what is shown is read.

    Args:
        arrays: By quantity; with `step` and `seed` or without, and two or more axes.
        budget: Bytes for all matrices together.
    """
    first = next(iter(arrays.values()))
    choices = list(itertools.islice(_choices(arrays), MOST_CHOICES))
    steps = _steps(first, len(choices), budget)
    shown = {label: _matrices(array, steps) for label, array in choices}
    units = {label: str(array.attrs.get("units", "")) for label, array in choices}
    text = _text(arrays, len(choices), len(steps))
    if len(steps) * len(choices) == 1:
        return Frames(_picture(shown, units), None, text)
    return Frames(_picture(shown, units), _explorer(shown, units), text)


def is_deep(array: xr.DataArray) -> bool:
    """Whether an array has more axes than a picture."""
    return len(axes_of(array)) > 2


def _choices(
    arrays: Mapping[str, xr.DataArray],
) -> Iterator[tuple[str, xr.DataArray]]:
    """(label, array with two axes) of every matrix; nothing is read."""
    for name, array in arrays.items():
        leading = [axis for made_of in _leading(array) for axis in made_of]
        for index in np.ndindex(*(array.sizes[axis] for axis in leading)):
            places = dict(zip(leading, index, strict=True))
            where = places_text(
                {k: array[k].values.tolist()[i] for k, i in places.items()}
            )
            yield f"{quantity_text(name)} {where}".strip(), array.isel(places)


def _leading(array: xr.DataArray) -> Sequence[tuple[str, ...]]:
    """The axes before the last two, which number the matrices."""
    return list(axes_of(array).values())[:-2]


def _steps(array: xr.DataArray, choices: int, budget: int) -> list[int]:
    """Places of the steps that are shown."""
    number = array.sizes.get("step", 1)
    if is_deep(array):
        return [number - 1]
    sides = [min(size, MOST_PLACES) for size in sizes_of(array).values()]
    return thinned(number, round(_BYTES * np.prod(sides) * choices), budget)


def _matrices(array: xr.DataArray, steps: list[int]) -> xr.DataArray:
    """The mean over seeds at some steps, with axes `step`, row and column."""
    some = array.isel(step=steps) if "step" in array.dims else array.expand_dims("step")
    whole = with_heads(seed_mean(some))
    return coarse(whole, dict.fromkeys(axes_of(array), MOST_PLACES))


def _text(arrays: Mapping[str, xr.DataArray], choices: int, steps: int) -> str:
    """Sentences on what is shown, how to move it and what is left out."""
    first = next(iter(arrays.values()))
    number = first.sizes.get("step", 1)
    text = ""
    if steps == 1 and "step" in first.dims:
        text += f" At step {step_text(int(first['step'].values[-1]))}."
    if steps * choices > 1:
        text += " Move the sliders." if min(steps, choices) > 1 else " Move the slider."
    if not is_deep(first):
        text += thinned_text(steps, number)
    every = sum(
        int(np.prod([a.sizes[x] for made_of in _leading(a) for x in made_of]))
        for a in arrays.values()
    )
    if every > choices:
        text += f" These are the first {choices} of {every:,} matrices."
    last = list(axes_of(first))[-2:]
    return text + coarse_text(first, dict.fromkeys(last, MOST_PLACES))


def _picture(shown: Mapping[str, xr.DataArray], units: Mapping[str, str]) -> Any:
    """The first matrix at the last step."""
    name, array = next(iter(shown.items()))
    row, column = map(str, array.dims[-2:])
    return matrix_heatmap(
        array.values[-1],
        labels(array, row),
        labels(array, column),
        row_axis=row.replace("_", " "),
        column_axis=column.replace("_", " "),
        units=units[name],
        ends=_ends(array.values),
    )


def _explorer(
    shown: Mapping[str, xr.DataArray], units: Mapping[str, str]
) -> dict[str, Any]:
    """Matrices as whole numbers between the ends of each choice, and its colours."""
    first, choices, levels = next(iter(shown.values())), [], []
    for name, array in shown.items():
        low, high = _ends(array.values)
        scale = colour_scale(low, high)
        choices.append(
            {"label": name, "units": units[name], "low": low, "high": high}
            | {"scale": scale}
        )
        levels.append(_levels(array.values, low, high))
    return {
        "steps": first["step"].values.tolist(),
        "choices": choices,
        "shape": list(first.shape[-2:]),
        "missing": _MISSING,
        "values": base64.b64encode(np.stack(levels).tobytes()).decode(),
    }


def _levels(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values as 16-bit numbers: 0 at the low end, one below `missing` at the high."""
    place = (values.astype(float) - low) / ((high - low) or 1.0)
    finite = np.isfinite(place)
    level = np.rint(np.where(finite, place, 0) * (_MISSING - 1))
    # Browsers read the bytes in this order, whatever machine has written them.
    return np.where(finite, level, _MISSING).astype("<u2")


def _ends(values: np.ndarray) -> tuple[float, float]:
    """The least and the greatest finite value; 0 and 1 where there is none."""
    finite = values[np.isfinite(values)].astype(float)
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
