"""A timeline of what lasts: from when to when each row holds."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from ._style import COLOURS, GRID, INK, finish, plain, step_axis, step_positions


class Span(NamedTuple):
    """A time during which a row of the timeline holds.

    Args:
        group: Rows of one group have one colour.
        row: What the row is called.
        begin: The first step at which it holds.
        end: The last step at which it holds.
        ended: Whether it holds no more after that.
        text: What is said where one points at it.
    """

    group: str
    row: str
    begin: int
    end: int
    ended: bool
    text: str


def span_timeline(spans: Sequence[Span], steps: Sequence[int]) -> go.Figure:
    """A row for each thing, and a bar for each time during which it holds.

    A bar begins with a disc, and ends with an open one where it ends before the last
    step. The step axis is logarithmic.

    Args:
        spans: In the order in which rows should come from the top.
        steps: All steps that there are, for the axis.

    Returns:
        A figure with one trace for each group, of which the first also has its key.

    Example:
        >>> from jaxcirc.plots import Span, span_timeline
        >>> span = Span("induction", "L1H0", 100, 900, False, "from step 100 on")
        >>> bars, begins, ends = span_timeline([span], [0, 100, 900]).data
        >>> begins.x, len(ends.x)
        ((100.0,), 0)
    """
    rows = list(dict.fromkeys((span.group, span.row) for span in spans))
    names = [f"{plain(group)} {plain(row)}" for group, row in rows]
    figure = go.Figure()
    for place, group in enumerate(dict.fromkeys(span.group for span in spans)):
        own = [span for span in spans if span.group == group]
        _draw(figure, own, COLOURS[place % len(COLOURS)])
    figure.update_xaxes(**step_axis(steps))
    # A bar that ends at the first step would otherwise lie on the border.
    figure.update_yaxes(
        type="category",
        range=[-0.7, len(names) - 0.3],
        categoryorder="array",
        categoryarray=names[::-1],
        automargin=True,
        gridcolor=GRID,
    )
    figure.update_layout(showlegend=False)
    return finish(figure, height=130 + 22 * max(len(names), 4))


def _draw(figure: go.Figure, spans: Sequence[Span], colour: str) -> None:
    """Bars of one group, with a disc at each begin and at each end."""
    x, y = [], []
    for span in spans:
        # Nothing between them breaks the line, so that one trace draws all bars.
        x += [*step_positions([span.begin, span.end]), None]
        y += [_name(span), _name(span), None]
    figure.add_trace(
        go.Scatter(
            x=x, y=y, mode="lines", line={"color": colour, "width": 7}, opacity=0.55,
            hoverinfo="skip",
        )
    )  # fmt: skip
    ended = [span for span in spans if span.ended]
    for chosen, at, fill in ((spans, "begin", colour), (ended, "end", "white")):
        figure.add_trace(
            go.Scatter(
                x=step_positions([getattr(span, at) for span in chosen]),
                y=[_name(span) for span in chosen],
                mode="markers",
                marker={
                    "color": fill,
                    "size": 9,
                    "line": {"color": colour if fill == "white" else INK, "width": 1.5},
                },
                text=[plain(span.text) for span in chosen],
                hovertemplate="%{y}<br>%{text}<extra></extra>",
            )
        )


def _name(span: Span) -> str:
    return f"{plain(span.group)} {plain(span.row)}"
