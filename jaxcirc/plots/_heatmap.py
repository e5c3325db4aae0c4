"""Heat maps: rows × steps, and square matrices, with a choice of quantity."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from ._style import finish, plain

# More choices than this are a menu, not a row of buttons.
MOST_BUTTONS = 5


def step_heatmap(
    values: Mapping[str, Float[np.ndarray, "row step"]],
    rows: Sequence[str],
    steps: Sequence[int],
    units: Mapping[str, str],
    *,
    title: str = "layer and head",
) -> go.Figure:
    """One row per head or layer, one column per checkpoint, and a choice of quantity.

    Columns are equally wide, so that early checkpoints can be seen. What has both signs
    is drawn in red and blue around zero, anything else from zero on. Numbers are
    rounded to four decimals, and NaN is left blank.

    Args:
        values: Quantities by name, in the order of the choice; the first is shown. Up
            to five are buttons, more are a menu.
        rows: A label for each row, the first on top.
        steps: Training steps of the columns.
        units: Units of each quantity, beside its colours.
        title: What rows are.

    Returns:
        A figure with one trace per quantity.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.plots import step_heatmap
        >>> scores = {"induction": np.array([[0.1, 0.9], [0.2, 0.3]])}
        >>> rows, units = ["layer 0, head 0", "layer 0, head 1"], {"induction": ""}
        >>> figure = step_heatmap(scores, rows, [0, 1000], units)
        >>> figure.data[0].x, figure.data[0].zmax
        (('0', '1,000'), 0.9)
    """
    columns = [f"{step:,}" for step in steps]
    figure = go.Figure()
    for i, (name, z) in enumerate(values.items()):
        trace = _heatmap(z, columns, rows, units[name], name)
        trace.visible = i == 0
        trace.hovertemplate = "%{y}, step %{x}<br>%{z:.3f}<extra></extra>"
        figure.add_trace(trace)
    _choose(figure, list(values))
    figure.update_xaxes(
        type="category", nticks=14, title={"text": "training step (one column each)"}
    )
    figure.update_yaxes(
        type="category", autorange="reversed", title={"text": title}, automargin=True
    )
    finish(figure, height=150 + max(18 * len(rows), 140))
    return figure.update_layout(margin={"t": 64})


def square_matrix(
    values: Mapping[str, Float[np.ndarray, "row column"]],
    labels: Sequence[str],
    *,
    rows: str,
    columns: str,
    units: str = "",
) -> go.Figure:
    """Matrices over one set of labels on both sides, and a choice between them.

    For instance the similarity of every checkpoint with every other. Cells are square,
    what has both signs is drawn around zero, and NaN is left blank.

    Args:
        values: Matrices by name, in the order of the choice; the first is shown.
        labels: A label for each row and column, the first on top and at the left.
        rows: What rows are.
        columns: What columns are.
        units: Units of the numbers, beside the colours.

    Returns:
        A figure with one trace per matrix.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.plots import square_matrix
        >>> figure = square_matrix(
        ...     {"cka": np.eye(2)}, ["0", "100"], rows="step", columns="reference step"
        ... )
        >>> figure.data[0].z.tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    figure = go.Figure()
    for i, (name, z) in enumerate(values.items()):
        trace = _heatmap(z, labels, labels, units, name)
        trace.visible = i == 0
        trace.hovertemplate = (
            f"{rows} %{{y}}, {columns} %{{x}}<br>%{{z:.3f}}<extra></extra>"
        )
        figure.add_trace(trace)
    _choose(figure, list(values))
    axis = {"type": "category", "nticks": 14, "constrain": "domain"}
    figure.update_xaxes(**axis, title={"text": columns})
    figure.update_yaxes(
        **axis,
        autorange="reversed",
        scaleanchor="x",
        title={"text": rows},
        automargin=True,
    )
    finish(figure, height=560)
    return figure.update_layout(margin={"t": 64})


def _heatmap(
    z: np.ndarray, x: Sequence[str], y: Sequence[str], units: str, name: str
) -> go.Heatmap:
    """One matrix, coloured around zero if it has both signs, else from zero on."""
    z = np.round(np.asarray(z, float), 4)
    finite = z[np.isfinite(z)]
    signed = bool(finite.size) and finite.min() < -0.02 * np.abs(finite).max()
    scale = {"colorscale": "RdBu", "reversescale": True, "zmid": 0}
    if not signed:
        # From nothing on, so that a map of high values does not look like one of low.
        top = float(finite.max()) if finite.size else 1.0
        scale = {"colorscale": "Cividis", "zmin": 0, "zmax": top or 1.0}
    return go.Heatmap(
        z=z,
        x=[plain(label) for label in x],
        y=[plain(label) for label in y],
        name=plain(name),
        colorbar={"title": {"text": plain(units), "side": "right"}},
        **scale,
    )


def _choose(figure: go.Figure, names: list[str]) -> None:
    """Add a choice of the trace that is seen, if there are several."""
    if len(names) < 2:
        return
    buttons = [
        {
            "label": plain(name),
            "method": "update",
            "args": [{"visible": [other == name for other in names]}],
        }
        for name in names
    ]
    many = len(names) > MOST_BUTTONS
    figure.update_layout(
        updatemenus=[
            {
                "type": "dropdown" if many else "buttons",
                "direction": "down" if many else "right",
                "buttons": buttons,
                "x": 0,
                "xanchor": "left",
                "y": 1.02,
                "yanchor": "bottom",
                "bgcolor": "white",
                "pad": {"t": 0, "b": 4},
            }
        ]
    )
