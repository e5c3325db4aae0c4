"""A timeline of changes: which series moves when."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from ._style import (
    COLOURS,
    FAINT,
    GRID,
    finish,
    plain,
    step_axis,
    step_positions,
)


class Move(NamedTuple):
    """A change of one series between two checkpoints.

    Args:
        series: Name of the series.
        from_step: The training step before the change.
        to_step: The training step after it.
        before: Level before, in the units of the series.
        after: Level after.
        strength: Size of the change over what noise gives; marks grow up to 4.
    """

    series: str
    from_step: int
    to_step: int
    before: float
    after: float
    strength: float


def change_timeline(moves: Sequence[Move]) -> go.Figure:
    """A row per series in order of its first change, and a mark per change.

    Triangles point up or down with the level and stand at the step after the change; a
    bar reaches back to the step before, since the change lies somewhere between. A
    larger mark is further beyond noise. The step axis is logarithmic and labelled at
    changes alone.

    Args:
        moves: Changes, in the order in which rows should come from the top.

    Returns:
        A figure with the bars, the rises and the falls as traces.

    Example:
        >>> from jaxcirc.plots import Move, change_timeline
        >>> rise = Move("induction", 100, 200, 0.1, 0.9, strength=3.0)
        >>> bars, rises, falls = change_timeline([rise]).data
        >>> rises.text, len(falls.x)
        (('0.1 → 0.9 between steps 100 and 200',), 0)
    """
    # Once, and before names are compared: the axis and the marks must agree.
    moves = [move._replace(series=plain(move.series)) for move in moves]
    names = list(dict.fromkeys(move.series for move in moves))
    figure = go.Figure()
    lines_x, lines_y = [], []
    for move in moves:
        ends = step_positions([move.from_step, move.to_step])
        # Nothing between them breaks the line, so that one trace draws all bars.
        lines_x += [*ends, None]
        lines_y += [move.series, move.series, None]
    figure.add_trace(
        go.Scatter(
            x=lines_x,
            y=lines_y,
            mode="lines",
            line={"color": FAINT, "width": 6},
            opacity=0.5,
            hoverinfo="skip",
            showlegend=False,
        )
    )
    for up, colour, symbol in ((True, 2, "triangle-up"), (False, 1, "triangle-down")):
        chosen = [m for m in moves if (m.after > m.before) == up]
        figure.add_trace(
            go.Scatter(
                x=step_positions([m.to_step for m in chosen]),
                y=[m.series for m in chosen],
                mode="markers",
                name="rises" if up else "falls",
                marker={
                    "symbol": symbol,
                    "color": COLOURS[colour],
                    "size": [8 + 2.5 * min(m.strength, 4) for m in chosen],
                },
                text=[
                    f"{m.before:.4g} → {m.after:.4g} between steps {m.from_step:,} and "
                    f"{m.to_step:,}"
                    for m in chosen
                ],
                hovertemplate="%{y}<br>%{text}<extra></extra>",
            )
        )
    steps = sorted({s for m in moves for s in (m.from_step, m.to_step)})
    figure.update_xaxes(**step_axis(steps))
    labelled = _spread(sorted({m.to_step for m in moves}))
    figure.update_xaxes(
        tickvals=step_positions(labelled), ticktext=[f"{s:,}" for s in labelled]
    )
    figure.update_yaxes(
        type="category",
        range=[-0.7, len(names) - 0.3],
        categoryorder="array",
        categoryarray=names[::-1],
        automargin=True,
        gridcolor=GRID,
    )
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom"})
    return finish(figure, height=130 + 22 * max(len(names), 4))


def _spread(steps: list[int]) -> list[int]:
    """The steps that are far enough apart on a logarithmic axis to be read."""
    kept: list[int] = []
    for step in steps:
        if not kept or step > 1.25 * max(kept[-1], 1):
            kept.append(step)
    return kept
