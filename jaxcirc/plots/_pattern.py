"""One head's attention pattern; the page's sliders put other numbers into it."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from ._style import finish, plain


def attention_pattern(
    pattern: Float[np.ndarray, "query_pos key_pos"], tokens: Sequence[str]
) -> go.Figure:
    """Rows attend to columns; each row sums to 1."""
    size = len(tokens)
    figure = go.Figure(
        go.Heatmap(
            z=np.asarray(pattern, float),
            colorscale="Cividis",
            zmin=0,
            zmax=1,
            colorbar={"title": {"text": "attention", "side": "right"}},
            customdata=[[[plain(q), plain(k)] for k in tokens] for q in tokens],
            hovertemplate=(
                "%{customdata[0]} → %{customdata[1]}<br>%{z:.3f}<extra></extra>"
            ),
        )
    )
    # Labels are position and token; two equal tokens are two places.
    every = max(1, -(-size // 48))
    ticks = list(range(0, size, every))
    labels = [plain(tokens[i].split(" ", 1)[-1]) for i in ticks]
    axis = {
        "tickvals": ticks,
        "ticktext": labels,
        "tickfont": {"size": 13 if size <= 16 else 10},
    }
    figure.update_xaxes(**axis, title={"text": "attended token"}, constrain="domain")
    figure.update_yaxes(
        **axis,
        title={"text": "attending token"},
        autorange="reversed",
        scaleanchor="x",
        constrain="domain",
    )
    return finish(figure, height=620)
