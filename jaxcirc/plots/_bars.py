"""Stacked bars: what a total is made of, at every checkpoint."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from ._style import COLOURS, FAINT, GRID, INK, finish, plain


def stacked_bars(
    shares: Mapping[str, Float[np.ndarray, "group step"]],
    groups: Sequence[str],
    steps: Sequence[int],
    total: Float[np.ndarray, " step"],
    *,
    units: str = "",
) -> go.Figure:
    """Shares of groups at each checkpoint, stacked from zero, beside the total.

    Positive shares are stacked upwards and negative ones downwards, so that the bar's
    upper end less its lower end is their sum. The total is a line with marks: where it
    is not the end of the bar, the shares do not add up to it. Groups are coloured in
    turn, seven at a time with another hatch.

    Args:
        shares: One or several ways of sharing out, by name, in the order of the choice;
            the first is shown.
        groups: What each row is called.
        steps: Training steps of the columns.
        total: What the shares are of.
        units: Of shares and total.

    Returns:
        A figure with a trace for each way and group, and the total last.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.plots import stacked_bars
        >>> path = np.array([[0.0, 2.0], [0.0, -0.5]])
        >>> figure = stacked_bars({"path": path}, ["a", "b"], [0, 10], path.sum(axis=0))
        >>> [t.name for t in figure.data], [float(y) for y in figure.data[-1].y]
        (['a', 'b', 'total'], [0.0, 1.5])
    """
    figure = go.Figure()
    columns = [f"{step:,}" for step in steps]
    ways = list(shares)
    hatches = ("", "/", "x", ".")
    for way in ways:
        for i, group in enumerate(groups):
            shape = hatches[i // len(COLOURS) % len(hatches)]
            bar = go.Bar(
                x=columns,
                y=np.round(np.asarray(shares[way][i], float), 6),
                name=plain(group),
                legendgroup=group,
                marker={
                    "color": COLOURS[i % len(COLOURS)],
                    "pattern": _hatch(shape, COLOURS[i % len(COLOURS)]),
                },
                visible=way == ways[0],
                hovertemplate=f"%{{y:.4g}} {plain(units)}",
            )
            figure.add_trace(bar)
    line = {"color": INK, "width": 1.5}
    marks = {"symbol": "diamond", "size": 8, "color": INK}
    figure.add_trace(
        go.Scatter(
            x=columns,
            y=np.asarray(total, float),
            name="total",
            mode="lines+markers",
            line=line,
            marker=marks,
            hovertemplate=f"%{{y:.4g}} {plain(units)}",
        )
    )
    _choose_way(figure, ways, len(groups))
    figure.update_layout(
        barmode="relative",
        hovermode="x unified",
        legend={"orientation": "v", "x": 1.02, "y": 1, "font": {"size": 11}},
    )
    figure.update_xaxes(type="category", title={"text": "training step (one bar each)"})
    figure.update_yaxes(
        title={"text": plain(units)}, gridcolor=GRID, zerolinecolor=FAINT
    )
    return finish(figure, height=500).update_layout(margin={"t": 64})


def _hatch(shape: str, colour: str) -> dict:
    """White lines on the group's colour, where seven colours are not enough."""
    return {"shape": shape, "bgcolor": colour, "fgcolor": "white", "size": 6}


def _choose_way(figure: go.Figure, ways: list[str], number: int) -> None:
    """Add a choice of the bars that are seen, if there are several ways."""
    if len(ways) < 2:
        return
    seen = lambda way: [other == way for other in ways for _ in range(number)]
    buttons = [
        {
            "label": plain(way),
            "method": "update",
            "args": [{"visible": [*seen(way), True]}],
        }
        for way in ways
    ]
    place = {"x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    look = {"bgcolor": "white", "pad": {"t": 0, "b": 4}}
    menu = {"type": "buttons", "direction": "right", "buttons": buttons}
    figure.update_layout(updatemenus=[menu | place | look])
