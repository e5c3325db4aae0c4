"""One head's attention pattern; the page's sliders put other numbers into it."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from ._style import finish, plain


def attention_pattern(
    pattern: Float[np.ndarray, "query_pos key_pos"], tokens: Sequence[str]
) -> go.Figure:
    """One head's attention pattern: rows attend to columns, and each row sums to 1.

    Colours go from 0 to 1 whatever the pattern, so that patterns of several heads can
    be compared. Of more than 48 tokens only some are written, but the pointer names
    all. The page's sliders put other heads and checkpoints into the same figure.

    Args:
        pattern: Weights of attention, in [0, 1].
        tokens: A label for each position: its number, a blank, and the token. The axes
            show the token alone, and two equal tokens keep two places.

    Returns:
        A figure with one trace, whose first row is on top.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.plots import attention_pattern
        >>> pattern = np.array([[1.0, 0.0], [0.5, 0.5]])
        >>> figure = attention_pattern(pattern, ["0 a", "1 b"])
        >>> figure.data[0].z.sum(axis=1).tolist(), figure.layout.xaxis.ticktext
        ([1.0, 1.0], ('a', 'b'))
    """
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
