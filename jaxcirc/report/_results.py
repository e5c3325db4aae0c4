"""Results as the page reads them, and names of heads and steps."""

from collections.abc import Sequence

import numpy as np
import xarray as xr


def results(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """The nodes by name, with an axis `seed` where they have steps but no seeds.

    A node without steps was measured once, and stays as it is.
    """
    found = {}
    for name, node in tree.children.items():
        data = node.to_dataset()
        # Sections may then rely on the axis, as training and older runs may lack it.
        if "step" in data.dims and "seed" not in data.dims:
            followed = [
                k for k, array in data.data_vars.items() if "step" in array.dims
            ]
            data = data.assign({k: data[k].expand_dims(seed=[0]) for k in followed})
        found[str(name)] = data
    return found


def kind_of(name: str, data: xr.Dataset) -> str:
    """The measurement that a node is of; its own name where it does not say.

    Args:
        name: Name of the node.
        data: Its results.
    """
    return str(data.attrs.get("measurement", name))


def once(data: xr.Dataset) -> xr.Dataset:
    """Results that say one thing, without the axes `step` and `seed`.

    What was measured once has neither. Where there are both, as in older runs and in
    a section that shows the end of training, it is the last step and the first seed.
    No values are read.

    Example:
        >>> data = xr.Dataset({"a": (("step", "seed"), [[1, 2], [3, 4]])})
        >>> int(once(data)["a"]), int(once(once(data))["a"])
        (3, 3)
    """
    places = {dim: at for dim, at in (("step", -1), ("seed", 0)) if dim in data.dims}
    return data.isel(places, drop=True)


def is_numeric(array: xr.DataArray) -> bool:
    """Whether an array's values are numbers or truth values."""
    return array.dtype.kind in "fiub"


def role_of(array: xr.DataArray) -> str:
    """Who reads an array: it is a `series`, a `diagnostic` or a `detail`."""
    return str(array.attrs.get("role", "series"))


def is_listed(array: xr.DataArray) -> bool:
    """Whether an array holds numbers, and not so many that nobody reads them."""
    return is_numeric(array) and role_of(array) != "detail"


def is_series(array: xr.DataArray) -> bool:
    """Whether an array is a result, and not what judges other results."""
    return is_numeric(array) and role_of(array) == "series"


def own_axes(array: xr.DataArray) -> tuple[str, ...]:
    """An array's axes besides `step` and `seed`."""
    return tuple(str(dim) for dim in array.dims if dim not in ("step", "seed"))


def by_seed(array: xr.DataArray) -> np.ndarray:
    """A series as rows, one per seed."""
    return array.transpose("seed", "step").values


def last_finite(series: xr.DataArray) -> int | None:
    """Index of the last step at which a series is finite; None if there is none."""
    places = np.flatnonzero(np.isfinite(series.transpose("step").values))
    return int(places[-1]) if len(places) else None


def head_label(layer: int, head: int) -> str:
    """A head's short name, counted from 0: layer 1, head 2 is `L1H2`.

    Args:
        layer: Counted from 0.
        head: Its number in the layer.
    """
    return f"L{layer}H{head}"


def step_text(step: int) -> str:
    """A step with its thousands set apart."""
    return f"{step:,}"


def quantity_text(name: str) -> str:
    """A quantity's name in words: `METRIC:COMPONENT` is `METRIC of COMPONENT`."""
    metric, colon, component = name.partition(":")
    return metric.replace("_", " ") + (f" of {component}" if colon else "")


def join_words(words: Sequence[str]) -> str:
    """Words as a list in a sentence: `a`, `a and b`, `a, b and c`."""
    words = list(words)
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])
