"""Heads × steps: which heads change, and when."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from ._style import finish


def head_step_heatmap(
    scores: Mapping[str, Float[np.ndarray, "head step"]],
    heads: Sequence[str],
    steps: Sequence[int],
    units: Mapping[str, str],
) -> go.Figure:
    """One row per head, one column per checkpoint, with a button for each score.

    Columns are equally wide, so that early checkpoints can be seen.
    """
    columns = [f"{step:,}" for step in steps]
    figure = go.Figure()
    for i, (name, values) in enumerate(scores.items()):
        figure.add_trace(
            go.Heatmap(
                z=np.round(np.asarray(values, float), 4),
                x=columns,
                y=list(heads),
                visible=i == 0,
                colorscale="Cividis",
                zmin=0,
                colorbar={"title": {"text": units[name], "side": "right"}},
                name=name,
                hovertemplate="%{y}, step %{x}<br>%{z:.3f}<extra></extra>",
            )
        )
    buttons = [
        {
            "label": name.replace("_", " "),
            "method": "update",
            "args": [{"visible": [other == name for other in scores]}],
        }
        for name in scores
    ]
    figure.update_layout(
        updatemenus=[
            {
                "type": "buttons",
                "direction": "right",
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
    figure.update_xaxes(
        type="category", nticks=14, title={"text": "training step (one column each)"}
    )
    figure.update_yaxes(
        autorange="reversed", title={"text": "layer and head"}, automargin=True
    )
    finish(figure, height=150 + max(18 * len(heads), 140))
    return figure.update_layout(margin={"t": 64})
