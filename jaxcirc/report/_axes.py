"""Arrays by their axes: which are heads, which are matrices, what a place is called."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ._results import head_label, own_axes

# Pairs of axes that number one thing: a head is a layer and a place in it.
_PAIRS = (("layer", "head"), ("layer", "kv_head"), ("from_layer", "from_head"))


def axes_of(array: xr.DataArray) -> dict[str, tuple[str, ...]]:
    """An array's axes besides `step` and `seed`, where a layer and a head are one.

    Args:
        array: An array with any axes; no values are read.

    Returns:
        The name of each axis, and the array's own axes that it is made of.

    Example:
        >>> axes_of(xr.DataArray([[[[1.0]]]], dims=("step", "layer", "head", "rank")))
        {'head': ('layer', 'head'), 'rank': ('rank',)}
    """
    axes = own_axes(array)
    pairs = [pair for pair in _PAIRS if set(pair) <= set(axes)]
    paired = {axis: pair for pair in pairs for axis in pair}
    found = [paired.get(axis, (axis,)) for axis in axes]
    return {made_of[-1]: made_of for made_of in found}


def sizes_of(array: xr.DataArray) -> dict[str, int]:
    """The number of places on each axis that `axes_of` names."""
    return {
        name: int(np.prod([array.sizes[axis] for axis in made_of]))
        for name, made_of in axes_of(array).items()
    }


def with_heads(array: xr.DataArray) -> xr.DataArray:
    """The array with one axis for layers and heads, labelled like `L1H2`.

    Args:
        array: With any axes. Its values are read, so what is not shown is to be left
            out before.

    Returns:
        The same values over the axes that `axes_of` names, after those of steps and
        seeds, in the same order.
    """
    axes = axes_of(array)
    leading = [dim for dim in array.dims if dim in ("step", "seed")]
    ordered = array.transpose(
        *leading, *(a for made_of in axes.values() for a in made_of)
    )
    shape = [array.sizes[d] for d in leading] + list(sizes_of(array).values())
    coords: dict[str, Any] = {str(dim): array[dim].values for dim in leading}
    for name, made_of in axes.items():
        sizes = [array.sizes[axis] for axis in made_of]
        heads = (
            [head_label(*place) for place in np.ndindex(*sizes)] if sizes[1:] else []
        )
        coords[name] = heads or array[made_of[0]].values
    values = ordered.values.reshape(shape)
    return xr.DataArray(values, coords, [*leading, *axes], attrs=array.attrs)


def places_text(places: Mapping[str, Any]) -> str:
    """The words for a place in an array.

    Args:
        places: Axis -> label there.

    Example:
        >>> places_text({"layer": 1, "head": 2}), places_text({"rank": 3})
        ('L1H2', 'rank 3')
    """
    if list(places)[:2] == ["layer", "head"]:
        own = {k: v for k, v in places.items() if k not in ("layer", "head")}
        label = head_label(places["layer"], places["head"])
        return f"{label} {places_text(own)}".strip()
    # Labels of these axes are words that say what they are.
    plain = ("split", "part")
    return " ".join(f"{v}" if k in plain else f"{k} {v}" for k, v in places.items())
