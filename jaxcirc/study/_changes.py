"""When each measured series moves: change points that noise would not give."""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import ruptures
import xarray as xr
from jaxtyping import Float

# Series shorter than this have no level on either side of a change.
LEAST_CHECKPOINTS = 6
# At most so many series of one quantity, such as heads, are listed.
MOST_SERIES = 3
_ORDERS = 400
_QUANTILE = 0.95
_AXES = ("split", "layer", "head", "kv_head", "rank", "part")
_LEFT_OUT = ("standard_error", "rhat", "ess", "status", "non_finite", "failed")


class Change(NamedTuple):
    """A change of level.

    Args:
        place: Index of the first value at the new level.
        before: Mean of the segment before.
        after: Mean of the segment after.
        strength: How much of the variation it explains, relative to the most that any
            split explains in 95% of random orders of the values; above 1.
        share: Share of the change of level that happens between the two values around
            it and their neighbours: near 1 if abrupt, small in a slow drift.
    """

    place: int
    before: float
    after: float
    strength: float
    share: float


def changes(values: Float[np.ndarray, " step"]) -> list[Change]:
    """Changes of level of a series, in order.

    Piecewise-constant least squares (PELT, Killick et al. 2012, by `ruptures`), where
    each change must explain more than the best split of 95% of random orders of the
    same values does: the null band of a series without any order in time. A series that
    drifts is cut into steps, with a low `share` each. Places are checkpoints, so evenly
    spaced ones see a slow change late in training and unevenly spaced ones do not.

    Args:
        values: One value per checkpoint, at least 6 of them finite; others are left
        out.
    """
    kept = np.flatnonzero(np.isfinite(values))
    y = np.asarray(values, np.float64)[kept]
    # What is constant up to the rounding of float32 does not move.
    if len(y) < LEAST_CHECKPOINTS or np.ptp(y) <= 1e-6 * np.abs(y).max():
        return []
    y = (y - y.mean()) / y.std()
    rng = np.random.default_rng(0)
    orders = rng.permuted(np.tile(y, (_ORDERS, 1)), axis=1)
    penalty = float(np.quantile(_best_gain(orders), _QUANTILE))
    search = ruptures.Pelt(model="l2", min_size=2, jump=1).fit(y[:, None])
    places = search.predict(pen=penalty)[:-1]
    bounds = [0, *places, len(y)]
    found = []
    for left, place, right in zip(bounds, bounds[1:], bounds[2:], strict=False):
        one, two = y[left:place], y[place:right]
        jump = two.mean() - one.mean()
        gain = len(one) * len(two) / (len(one) + len(two)) * jump**2
        near = y[min(place + 1, right - 1)] - y[max(place - 2, left)]
        first, second = kept[left:place], kept[place:right]
        raw = np.asarray(values, np.float64)
        found.append(
            Change(
                place=int(kept[place]),
                before=float(raw[first].mean()),
                after=float(raw[second].mean()),
                strength=float(gain / penalty),
                share=float(np.clip(near / jump, 0, 1)) if jump else 0.0,
            )
        )
    return found


def _best_gain(rows: Float[np.ndarray, "order step"]) -> Float[np.ndarray, " order"]:
    """The most that one split explains, of segments of at least two values."""
    n = rows.shape[1]
    total = rows.sum(axis=1, keepdims=True)
    left = np.cumsum(rows, axis=1)[:, 1 : n - 2]
    k = np.arange(2, n - 1)
    gap = left / k - (total - left) / (n - k)
    return (k * (n - k) / n * gap**2).max(axis=1)


def change_table(tree: xr.DataTree) -> xr.Dataset:
    """When every series of a study moves, one row per change, in order of steps.

    Seeds are averaged. Of a quantity with many series, such as one for each head, the
    three that move most are listed.

    Args:
        tree: What `Study.open` returns.

    Returns:
        With an axis `change`: the series' `measurement`, `quantity` and `where`; the
        steps of the checkpoints on both sides, `from_step` and `to_step`; the levels
        `before` and `after`; `strength` and `share` (see `Change`).
    """
    rows = []
    for name, node in tree.children.items():
        if name == "training":
            continue
        data = node.to_dataset()
        for quantity, array in data.data_vars.items():
            rows += _of_quantity(str(name), str(quantity), array)
    rows.sort(key=lambda row: (row["to_step"], -row["strength"]))
    names = ("measurement", "quantity", "where", "from_step", "to_step", "before")
    names += ("after", "strength", "share")
    attrs = {"measurement": "changes"}
    columns = {n: ("change", np.array([row[n] for row in rows])) for n in names}
    return xr.Dataset(columns, attrs=attrs) if rows else xr.Dataset(attrs=attrs)


def with_changes(tree: xr.DataTree) -> xr.DataTree:
    """The results with a node `changes`: what `change_table` finds in them."""
    return tree.assign({"changes": xr.DataTree(change_table(tree))})


def _of_quantity(name: str, quantity: str, array: xr.DataArray) -> list[dict]:
    if "step" not in array.dims or quantity in _LEFT_OUT or "_chance" in quantity:
        return []
    if set(array.dims) - {"step", "seed", *_AXES}:
        return []
    steps = array["step"].values
    found = []
    for where, series in _series(array):
        rows = [
            {
                "measurement": name,
                "quantity": quantity,
                "where": where,
                "from_step": int(steps[change.place - 1]),
                "to_step": int(steps[change.place]),
                **change._asdict(),
            }
            for change in changes(series)
        ]
        if rows:
            found.append(rows)
    found.sort(key=lambda rows: -max(row["strength"] for row in rows))
    return [row for rows in found[:MOST_SERIES] for row in rows]


def _series(array: xr.DataArray) -> Iterator[tuple[str, np.ndarray]]:
    with warnings.catch_warnings():
        # A series that is nowhere finite has no mean, and no changes.
        warnings.simplefilter("ignore", RuntimeWarning)
        mean = array.mean("seed", skipna=True)
    rest = [dim for dim in mean.dims if dim != "step"]
    mean = mean.transpose("step", *rest)
    for index in np.ndindex(mean.shape[1:]):
        labels = [
            f"{mean[dim].values[i]}" if dim in ("split", "part") else f"{dim} {i}"
            for dim, i in zip(rest, index, strict=True)
        ]
        where = " ".join(labels)
        if rest[:2] == ["layer", "head"]:
            where = f"L{index[0]}H{index[1]}"
        yield where, mean.values[(slice(None), *index)]
