"""One matrix as a heat map; the page's sliders put other numbers into it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.colors
import plotly.graph_objects as go
from jaxtyping import Float

from ._style import finish, plain

# Below this share of the largest, a negative number is rounding and not a sign.
_SIGNED = 0.02


def colour_scale(low: float, high: float) -> dict[str, Any]:
    """Colours for numbers between two ends, the same for every frame of a film.

    What has both signs is drawn around zero; else colours begin at zero, so that a map
    of high values does not look like one of low. A least number that is below zero by
    less than 2% of the largest counts as rounding and not as a sign.

    Args:
        low: The least number.
        high: The greatest.

    Returns:
        `colorscale`, `reversescale`, `zmin` and `zmax` of a plotly heat map.

    Example:
        >>> from jaxcirc.plots import colour_scale
        >>> scale = colour_scale(-0.5, 2.0)
        >>> scale["zmin"], scale["zmax"]
        (-2.0, 2.0)
        >>> colour_scale(0.5, 2.0)["zmin"]
        0.0
    """
    most = max(abs(low), abs(high))
    signed = low < -_SIGNED * most
    colours = plotly.colors.get_colorscale("RdBu" if signed else "Cividis")
    return {
        "colorscale": colours,
        "reversescale": signed,
        "zmin": -most if signed else 0.0,
        "zmax": (most if signed else high) or 1.0,
    }


def matrix_heatmap(
    values: Float[np.ndarray, "row column"],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    row_axis: str,
    column_axis: str,
    units: str = "",
    ends: tuple[float, float],
) -> go.Figure:
    """A matrix of numbers, the first row on top.

    Cells are square if there are as many columns as rows. Colours are those of
    `colour_scale`, so that matrices of a film that are given the same ends can be
    compared. Of equal labels each gets its place in front, since a category axis would
    draw only the last.

    Args:
        values: Numbers, drawn in single precision; NaN where there is none.
        rows: A label for each row.
        columns: A label for each column.
        row_axis: What rows are.
        column_axis: What columns are.
        units: Units of the numbers, beside the colours.
        ends: The least and the greatest number that colours are for.

    Returns:
        A figure with one trace.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.plots import matrix_heatmap
        >>> figure = matrix_heatmap(
        ...     np.array([[0.0, 1.0]]), ["a"], ["b", "b"],
        ...     row_axis="writer", column_axis="reader", ends=(0.0, 1.0),
        ... )
        >>> figure.data[0].x, figure.data[0].zmax
        (('0 b', '1 b'), 1.0)
    """
    figure = go.Figure(
        go.Heatmap(
            # Single precision is finer than any colour, and half as heavy.
            z=np.asarray(values, np.float32),
            x=_distinct(columns),
            y=_distinct(rows),
            colorbar={"title": {"text": plain(units), "side": "right"}},
            hovertemplate=(
                f"{plain(row_axis)} %{{y}}, {plain(column_axis)} %{{x}}"
                "<br>%{z:.4g}<extra></extra>"
            ),
            **colour_scale(*ends),
        )
    )
    square = len(rows) == len(columns)
    axis = {"type": "category", "nticks": 14, "constrain": "domain"}
    figure.update_xaxes(**axis, title={"text": plain(column_axis)}, automargin=True)
    figure.update_yaxes(
        **axis,
        title={"text": plain(row_axis)},
        automargin=True,
        autorange="reversed",
        scaleanchor="x" if square else None,
    )
    return finish(figure, height=560 if square else 150 + _height(len(rows)))


def _distinct(labels: Sequence[str]) -> list[str]:
    """Labels that differ: of equal ones, a category axis would draw only the last."""
    shown = [plain(label) for label in labels]
    if len(set(shown)) == len(shown):
        return shown
    return [f"{place} {label}" for place, label in enumerate(shown)]


def _height(rows: int) -> int:
    """A height at which rows can be told apart and the figure fits the window."""
    return min(max(18 * rows, 140), 480)
