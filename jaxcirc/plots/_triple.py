"""One head's attention before and after, and the difference."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from ._style import finish, plain

# A third of a page is wide; more labels than this run into each other there.
MOST_LABELS = 24


def pattern_triple(
    before: Float[np.ndarray, "query_pos key_pos"],
    after: Float[np.ndarray, "query_pos key_pos"],
    tokens: Sequence[str],
    *,
    names: tuple[str, str] = ("before", "after"),
) -> go.Figure:
    """Two attention patterns of one head on one input, and the second less the first.

    Both patterns have colours from 0 to 1, and the difference has red for more
    attention and blue for less, from -1 to 1, whatever the values: so heads and
    checkpoints can be compared. The page's sliders put others into the same figure.

    Args:
        before: Weights of attention, in [0, 1]; each row sums to 1.
        after: The same at another time.
        tokens: A label for each position: its number, a blank, and the token. The axes
            show the token alone.
        names: What stands above the two patterns.

    Returns:
        A figure with three traces: before, after and the difference.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.plots import pattern_triple
        >>> one, other = np.eye(2), np.array([[1.0, 0.0], [0.75, 0.25]])
        >>> figure = pattern_triple(one, other, ["0 a", "1 b"])
        >>> figure.data[2].z.tolist()
        [[0.0, 0.0], [0.75, -0.75]]
    """
    figure = go.Figure()
    pairs = [[[plain(q), plain(k)] for k in tokens] for q in tokens]
    attention = {"colorscale": "Cividis", "zmin": 0, "zmax": 1, "showscale": False}
    change = {"colorscale": "RdBu", "reversescale": True, "zmin": -1, "zmax": 1}
    bar = {
        "title": {"text": "difference of attention", "side": "right"},
        "len": 0.8,
        "y": 1,
        "yanchor": "top",
    }
    panels = (
        (names[0], before, attention),
        (names[1], after, attention),
        ("difference", np.asarray(after) - before, change | {"colorbar": bar}),
    )
    ticks = list(range(0, len(tokens), max(1, -(-len(tokens) // MOST_LABELS))))
    labels = [plain(tokens[i].split(" ", 1)[-1]) for i in ticks]
    shown = {"tickvals": ticks, "ticktext": labels, "tickfont": {"size": 9}}
    for i, (title, values, colours) in enumerate(panels):
        number = str(i + 1) if i else ""
        left = i * 0.345
        figure.add_trace(
            go.Heatmap(
                z=np.asarray(values, float),
                xaxis=f"x{number}",
                yaxis=f"y{number}",
                customdata=pairs,
                hovertemplate=(
                    "%{customdata[0]} → %{customdata[1]}<br>%{z:.3f}<extra></extra>"
                ),
                **colours,
            )
        )
        figure.layout[f"xaxis{number}"] = shown | {
            "domain": [left, left + 0.31],
            "anchor": f"y{number}",
            "constrain": "domain",
            "title": {"text": "attended token"},
        }
        figure.layout[f"yaxis{number}"] = shown | {
            "anchor": f"x{number}",
            "autorange": "reversed",
            "scaleanchor": f"x{number}",
            "constrain": "domain",
            "constraintoward": "top",
            "showticklabels": not i,
            # Of three equal axes, one is written.
            "title": {"text": "" if i else "attending token"},
        }
        figure.add_annotation(
            text=plain(title),
            xref="paper",
            yref="paper",
            x=left,
            y=1.02,
            xanchor="left",
            yanchor="bottom",
            showarrow=False,
        )
    return finish(figure, height=390)
