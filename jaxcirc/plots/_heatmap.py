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
    is drawn around zero.
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
    """Matrices over one set of labels on both sides, and a choice between them."""
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
