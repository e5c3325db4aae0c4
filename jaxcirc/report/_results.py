"""Results as the page reads them, and names of heads and steps."""

from typing import NamedTuple

import numpy as np
import xarray as xr


def results(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    """The nodes by name, with an axis `seed` where they have steps but no seeds."""
    found = {}
    for name, node in tree.children.items():
        data = node.to_dataset()
        if "step" in data.dims and "seed" not in data.dims:
            followed = [
                k for k, array in data.data_vars.items() if "step" in array.dims
            ]
            data = data.assign({k: data[k].expand_dims(seed=[0]) for k in followed})
        found[str(name)] = data
    return found


def kind_of(name: str, data: xr.Dataset) -> str:
    """Which measurement a node is of."""
    return str(data.attrs.get("measurement", name))


def is_listed(array: xr.DataArray) -> bool:
    """Whether it is numbers over steps, and not so many that nobody reads them."""
    numbers = array.dtype.kind in "fiub" and "step" in array.dims
    return numbers and array.attrs.get("role") != "detail"


def is_series(array: xr.DataArray) -> bool:
    """Whether it is a result over steps, and not what judges other results."""
    return is_listed(array) and array.attrs.get("role", "series") == "series"


def head_label(layer: int, head: int) -> str:
    """A head's short name, counted from 0: layer 1, head 2 is `L1H2`."""
    return f"L{layer}H{head}"


class ProminentHead(NamedTuple):
    """The head that findings and figures are about.

    Args:
        layer: Of the head, counted from 0.
        head: Its number in the layer.
        place: Index of the step at which its score is told.
        score: The score there, the mean over seeds; NaN if no score is finite.
        lost: Whether that is not the end, since no head there is half as strong.
    """

    layer: int
    head: int
    place: int
    score: float
    lost: bool


def prominent_head(score: xr.DataArray) -> ProminentHead:
    """The strongest head at the end, or the strongest ever if none is left like it.

    At the end means at the last checkpoint with finite scores.

    Args:
        score: With axes `step`, `seed`, `layer` and `head`.
    """
    mean = score.mean("seed").transpose("step", "layer", "head").values.astype(float)
    known = np.where(np.isfinite(mean), mean, -np.inf)
    finite = np.flatnonzero(np.isfinite(mean).any(axis=(1, 2)))
    if not len(finite):
        return ProminentHead(0, 0, len(mean) - 1, float("nan"), False)
    end, layer, head = int(finite[-1]), *_argmax(known[finite[-1]])
    ever, *best = _argmax(known)
    if known[end, layer, head] > known.max() / 2:
        return ProminentHead(layer, head, end, float(known[end, layer, head]), False)
    return ProminentHead(best[0], best[1], ever, float(known.max()), True)


def _argmax(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(values.argmax(), values.shape))


def last_finite(series: xr.DataArray) -> int | None:
    """Index of the last step at which a series is finite; None if there is none."""
    places = np.flatnonzero(np.isfinite(series.transpose("step").values))
    return int(places[-1]) if len(places) else None


def step_text(step: int) -> str:
    """A step with thousands set apart."""
    return f"{step:,}"


def quantity_text(name: str) -> str:
    """`METRIC:COMPONENT` in words."""
    metric, colon, component = name.partition(":")
    return metric.replace("_", " ") + (f" of {component}" if colon else "")


def join_words(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])
