"""One look for every figure: colours anybody can tell apart, and the step axis."""

import html
from collections.abc import Sequence

import plotly.colors
import plotly.graph_objects as go

# Okabe & Ito (2008): distinct under every common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
INK, GRID, FAINT = "#1f2933", "#e4e7eb", "#9aa5b1"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
# Where step 0 is drawn on a logarithmic axis, which has no zero.
ZERO = 0.4


def plain(text: str) -> str:
    """A label that plotly shows as it is, `<b>` and links included.

    plotly takes some HTML in text for markup, and tokens such as `<bos>` would vanish.
    So the characters `&`, `<` and `>` are escaped; quotes stay. Every label that comes
    from data goes through this, and once only: a second pass would show the escapes.

    Args:
        text: Any text.

    Returns:
        Text for a title, a label or a name of a plotly figure.

    Example:
        >>> from jaxcirc.plots import plain
        >>> plain("<bos> & co")
        '&lt;bos&gt; &amp; co'
    """
    return html.escape(text, quote=False)


def ramp(place: float) -> str:
    """A colour between dark blue (0) and ochre (1), in steps that look even."""
    # The lightest end of the scale is too pale for a line on white.
    return str(plotly.colors.sample_colorscale("Cividis", [0.85 * place])[0])


def step_positions(steps: Sequence[int]) -> list[float]:
    """Steps as positions on the logarithmic axis, where 0 has a place of its own."""
    return [float(step) if step > 0 else ZERO for step in steps]


def step_axis(steps: Sequence[int]) -> dict:
    """A logarithmic step axis with plain labels, on which step 0 has a place."""
    decades = [10**i for i in range(12) if 10**i <= max(steps, default=1)]
    values, labels = list(decades), [_plain(d) for d in decades]
    if steps and min(steps) == 0:
        values, labels = [ZERO, *values], ["0", *labels]
    return {
        "type": "log",
        "tickvals": values,
        "ticktext": labels,
        "title": {"text": "training step (log scale)"},
        "gridcolor": GRID,
        "zeroline": False,
        "unifiedhovertitle": {"text": "step %{x:,.0f}"},
    }


def finish(figure: go.Figure, *, height: int) -> go.Figure:
    """Give a figure the fonts, margins and background that all figures have."""
    return figure.update_layout(
        height=height,
        template="none",
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        margin={"l": 72, "r": 24, "t": 36, "b": 56},
        hoverlabel={"bgcolor": "white", "font": {"family": FONT, "size": 12}},
    )


def _plain(number: int) -> str:
    """A number of steps in few letters, such as 10k."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number // size}{letter}"
    return str(number)
