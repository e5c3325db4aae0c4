"""What has no section of its own, drawn by the axes of its arrays.

Without axes, or with one small axis or layers, a quantity is curves; with one large
axis, or per head, a heat map over steps; with two axes, a heat map with a slider over
steps; with more, its matrices at the last step.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from ...plots import developmental_curves
from .._axes import axes_of, places_text
from .._frames import frames, is_deep
from .._quantity_curves import is_curves, panel
from .._quantity_maps import MOST_ROWS, between_steps, coarse_text, step_map
from .._results import is_numeric, own_axes, quantity_text, role_of
from .._section import Block, SectionSpec, View

# A figure with more panels would be longer than anybody reads.
MOST_PANELS = 12
_HEADS = ("head", "kv_head")
Arrays = Mapping[str, xr.DataArray]


def draw(view: View) -> list[Block]:
    """A block for every kind of axes that the row's arrays have."""
    shown = _shown(view.data)
    over = {k: a for k, a in shown.items() if "step" in a.dims}
    fixed = {k: a for k, a in shown.items() if "step" not in a.dims}
    blocks = [
        *_curves(_of(over, is_curves), view.data),
        *_head_maps(over),
        *_layer_map(_of(over, is_curves)),
        *_place_maps(over),
        *_step_matrices(over),
        *_fixed_table(fixed),
    ]
    groups = _matrix_groups(shown)
    for arrays in groups.values():
        blocks.append(_matrices(arrays, view.budget // len(groups)))
    title = _title(view)
    return [
        block._replace(title=f"{title}, {block.title}" if block.title else title)
        for block in blocks
    ]


def _shown(data: xr.Dataset) -> dict[str, xr.DataArray]:
    """Results and details; diagnostics only where there is nothing else."""
    arrays = {str(k): a for k, a in data.data_vars.items() if is_numeric(a)}
    judges = {k: a for k, a in arrays.items() if role_of(a) == "diagnostic"}
    return {k: a for k, a in arrays.items() if k not in judges} or judges


def _of(
    arrays: Arrays, fits: Callable[[xr.DataArray], bool]
) -> dict[str, xr.DataArray]:
    """The arrays that fit a question."""
    return {name: array for name, array in arrays.items() if fits(array)}


def _curves(curves: Arrays, data: xr.Dataset) -> list[Block]:
    """A block of curves, one panel per quantity."""
    if not curves:
        return []
    beside = {str(name): array for name, array in data.data_vars.items()}
    text = _meanings(curves)
    known = _of(curves, lambda array: bool(np.isfinite(array.values).any()))
    if without := [name for name in curves if name not in known]:
        # An empty frame would look like a fault of the page.
        names = ", ".join(without).replace("_", " ")
        text += f" Without a value at any checkpoint: {names}."
    panels = [panel(n, a, beside) for n, a in list(known.items())[:MOST_PANELS]]
    if len(known) > MOST_PANELS:
        text += f" The first {MOST_PANELS} of {len(known)}; all are in the CSV."
    return [Block("", text, developmental_curves(panels) if panels else None)]


def _head_maps(over: Arrays) -> list[Block]:
    """Heat maps of quantities that have a number for each head."""
    blocks = []
    for axis in _HEADS:
        own = _of(over, lambda array, axis=axis: list(axes_of(array)) == [axis])
        own = _of(own, lambda array: not is_curves(array))
        if own:
            figure = step_map(own, axis)
            blocks.append(Block("by head", _meanings(own), figure, suffix=f"-{axis}s"))
    return blocks


def _layer_map(curves: Arrays) -> list[Block]:
    """A heat map of quantities that have a number for each of several layers."""
    # Two layers are told apart as curves, more are not.
    layers = _of(curves, lambda array: array.sizes.get("layer", 1) > 2)
    if not layers:
        return []
    figure = step_map(layers, "layer")
    return [Block("by layer", "The same, layer × step.", figure, suffix="-layers")]


def _place_maps(over: Arrays) -> list[Block]:
    """Heat maps of quantities with one axis that is too long for curves."""
    blocks = []
    long = _of(over, lambda array: len(axes_of(array)) == 1 and not is_curves(array))
    axes = dict.fromkeys(next(iter(axes_of(array))) for array in long.values())
    for axis in axes:
        if axis in (*_HEADS, "reference_step"):
            continue
        own = _of(long, lambda array, axis=axis: axis in array.dims)
        text = _meanings(own)
        text += coarse_text(next(iter(own.values())), {axis: MOST_ROWS})
        name = axis.replace("_", " ")
        blocks.append(Block(f"by {name}", text, step_map(own, axis), suffix=f"-{axis}"))
    return blocks


def _step_matrices(over: Arrays) -> list[Block]:
    """A block for quantities that compare each checkpoint with every other."""
    own = _of(over, lambda array: "reference_step" in array.dims)
    if not own:
        return []
    text = f"{_meanings(own)} Every checkpoint against every other."
    figure = between_steps(own)
    return [Block("between checkpoints", text.strip(), figure, suffix="-steps")]


def _matrix_groups(shown: Arrays) -> dict[tuple, dict[str, xr.DataArray]]:
    """Arrays with two or more axes, those of the same picture together."""
    groups: dict[tuple, dict[str, xr.DataArray]] = {}
    for name, array in shown.items():
        axes = tuple(axes_of(array))
        if len(axes) > 1 and "reference_step" not in axes:
            key = (*axes[-2:], is_deep(array), "step" in array.dims)
            groups.setdefault(key, {})[name] = array
    return groups


def _matrices(arrays: Arrays, budget: int) -> Block:
    """A block for quantities whose last two axes are the same."""
    first = next(iter(arrays.values()))
    row, column = list(axes_of(first))[-2:]
    made = frames(arrays, budget)
    title, told = f"{row} by {column}".replace("_", " "), ""
    if column == f"other_{row}":
        title, told = f"between {row}s", f" Every {row} against every other."
    elif column == f"from_{row}":
        title, told = f"between {row}s", " Rows read what columns write."
    text = f"{_meanings(arrays)}{told}{made.text}".strip()
    suffix = f"-{row}-{column}" + ("-deep" if is_deep(first) else "")
    return Block(title, text, made.figure, made.explorer, suffix=suffix)


def _fixed_table(fixed: Arrays) -> list[Block]:
    """What was measured once, number by number."""
    listed = _of(fixed, lambda a: len(own_axes(a)) < 2 and role_of(a) != "detail")
    if not listed:
        return []
    rows = []
    for name, array in listed.items():
        units = str(array.attrs.get("units", ""))
        for index in np.ndindex(array.shape):
            pairs = zip(array.dims, index, strict=True)
            places = {str(dim): array[dim].values.tolist()[i] for dim, i in pairs}
            number = f"{float(array.values[index]):.4g} {units}".strip()
            rows.append((quantity_text(name), places_text(places), number))
    header = ["quantity", "where", "value"]
    return [Block("", _meanings(listed), table=(header, rows), suffix="-once")]


def _meanings(arrays: Arrays) -> str:
    """A sentence for each quantity on what it means."""
    found = {n.partition(":")[0]: a.attrs.get("long_name") for n, a in arrays.items()}
    said = [f"{n.replace('_', ' ')}: {text}" for n, text in found.items() if text]
    return ". ".join(said) + "." if said else ""


def _title(view: View) -> str:
    """The row's name, with components if its quantities name any."""
    title = view.name.replace("_", " ").capitalize()
    parts = dict.fromkeys(str(v).partition(":")[2] for v in view.data.data_vars)
    named = [part for part in parts if part]
    if not named:
        return title
    return f"{title}: {', '.join(named[:4])}" + (" …" if len(named) > 4 else "")


SECTION = SectionSpec("quantities", draw, explorer=Path(__file__))
