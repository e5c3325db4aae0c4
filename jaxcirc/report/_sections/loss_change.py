"""Which weights the change of the loss comes from: stacked bars over training."""

import numpy as np
import xarray as xr

from ...plots import stacked_bars
from .._results import join_words, step_text
from .._section import Block, SectionSpec, View

_WAYS = {"over the path": "path", "order 1": "order_1", "orders 1 and 2": "order_2"}
# More colours than this are not told apart; the smallest shares are one.
_MOST_GROUPS = 20
_REST = "all others"


def draw(view: View) -> list[Block]:
    """Shares at every checkpoint, by three ways of sharing out."""
    data = view.data.mean("seed")
    names, places = _largest(data)
    shares = {way: _stacked(data[name], places) for way, name in _WAYS.items()}
    figure = stacked_bars(
        shares,
        names,
        data["step"].values.tolist(),
        data["change"].values,
        units="change of the loss (nats)",
    )
    text = (
        "Shares of weights in the change of the loss since the reference, and the "
        "change itself. Over the path they are integrals of the gradient along the "
        "straight line (Aumann-Shapley), and add up to the change; orders 1 and 2 are "
        "those of the Taylor series at the reference, and add up to it only as far as "
        "the series reaches. The buttons change the way. Another path has other shares."
    )
    return [Block("Where the loss comes from", text, figure, table=_table(data))]


def findings(view: View) -> list[str]:
    """The largest shares at the end, what they miss, and what the orders predict."""
    data = view.data.mean("seed")
    known = np.flatnonzero(np.isfinite(data["change"].values))
    if not len(known):
        return ["The loss has no finite change to be shared out."]
    last = data.isel(step=int(known[-1]))
    change = float(last["change"])
    shares = last["path"].values
    order = np.argsort(-np.nan_to_num(np.abs(shares), nan=-1.0))[:3].tolist()
    top = join_words([f"{_name(last, i)} ({shares[i]:+.3g})" for i in order])
    step = step_text(int(last["step"]))
    predicted = [float(x) for x in last["predicted"].values]
    orders = " and ".join(
        f"order {i + 1} predicts {value:+.3g}"
        for i, value in enumerate(predicted)
        if np.isfinite(value)
    )
    told = f"; {orders} nats" if orders else ""
    return [
        f"Of the change of the loss by {change:+.3g} nats at step {step}, {top} have "
        f"the largest shares over the straight path, which misses "
        f"{abs(float(last['residual'])):.2g}{told}."
    ]


def _name(data: xr.Dataset, place: int) -> str:
    return str(data["group"].values[place])


def _largest(data: xr.Dataset) -> tuple[list[str], list[np.ndarray]]:
    """Names of the groups that are drawn by themselves, and the places of each."""
    names = [str(name) for name in data["group"].values]
    if len(names) <= _MOST_GROUPS:
        return names, [np.array([i]) for i in range(len(names))]
    size = np.nan_to_num(np.abs(data["path"].transpose("group", "step").values)).max(1)
    order = np.argsort(-size, kind="stable")
    own = sorted(order[: _MOST_GROUPS - 1].tolist())
    rest = np.array(sorted(order[_MOST_GROUPS - 1 :].tolist()))
    return [*(names[i] for i in own), _REST], [*(np.array([i]) for i in own), rest]


def _stacked(array: xr.DataArray, places: list[np.ndarray]) -> np.ndarray:
    """Shares by group and step, those of one colour added up."""
    values = array.transpose("group", "step").values
    return np.stack([values[some].sum(axis=0) for some in places])


def _table(data: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """Change, predictions and residual at every checkpoint."""
    header = ["step", "change", "order 1", "orders 1 and 2", "missed by the path"]
    rows = []
    for i, step in enumerate(data["step"].values):
        one = data.isel(step=i)
        numbers = [one["change"], *one["predicted"].values, one["residual"]]
        rows.append((step_text(int(step)), *(f"{float(x):.3g}" for x in numbers)))
    return header, rows


SECTION = SectionSpec("loss_change", draw, findings=findings)
