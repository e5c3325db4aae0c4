"""Developmental curves: quantities over training, stacked above one step axis."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int
from plotly.subplots import make_subplots

from ._style import COLOURS, FAINT, GRID, finish, step_axis, step_positions


class Curve(NamedTuple):
    """One quantity over training.

    Args:
        name: In the legend.
        steps: Where it was measured.
        values: One row per seed.
        colour: Number of its colour.
        dashed: Draw it dashed, to tell it from its pair without colour.
        faint: Draw it in the background.
    """

    name: str
    steps: Int[np.ndarray, " step"]
    values: Float[np.ndarray, "seed step"]
    colour: int
    dashed: bool = False
    faint: bool = False


class CurvePanel(NamedTuple):
    """Curves that share a vertical axis.

    Args:
        title: Of the axis, with units.
        curves: What to draw.
        chance: Level of a model that knows nothing, if there is one.
        log: Logarithmic vertical axis.
    """

    title: str
    curves: Sequence[Curve]
    chance: float | None = None
    log: bool = False


def developmental_curves(panels: Sequence[CurvePanel]) -> go.Figure:
    """Panels above one logarithmic step axis; the pointer reads all of them at once.

    Several seeds are drawn as thin lines with their mean.
    """
    rows = max(len(panels), 1)
    figure = make_subplots(rows, 1, shared_xaxes=True, vertical_spacing=0.11 / rows)
    every_step: set[int] = set()
    named: set[tuple[str, int]] = set()
    for row, panel in enumerate(panels, start=1):
        for curve in panel.curves:
            every_step.update(int(step) for step in curve.steps)
            for trace in _traces(curve):
                key = (curve.name, curve.colour)
                trace.showlegend = bool(trace.showlegend) and key not in named
                figure.add_trace(trace, row, 1)
                if trace.showlegend:
                    named.add(key)
        if panel.chance is not None:
            line = {"color": FAINT, "dash": "dot", "width": 1}
            note = {"text": "chance", "font": {"size": 11, "color": FAINT}}
            figure.add_hline(panel.chance, row=row, col=1, line=line)  # pyright: ignore
            figure.add_annotation(
                **note,
                x=1,
                xref="x domain",
                y=np.log10(panel.chance) if panel.log else panel.chance,
                yanchor="bottom",
                xanchor="right",
                showarrow=False,
                row=row,
                col=1,
            )
        figure.update_yaxes(
            title={"text": panel.title, "standoff": 12},
            type="log" if panel.log else "linear",
            # Decades alone: plotly would label 2 and 5 in between as bare digits.
            dtick=1 if panel.log else None,
            automargin=True,
            gridcolor=GRID,
            zeroline=False,
            exponentformat="power",
            row=row,
            col=1,
        )
    axis = step_axis(sorted(every_step))
    title = axis.pop("title")
    figure.update_xaxes(**axis, showspikes=True, spikethickness=1, spikecolor=FAINT)
    figure.update_xaxes(title=title, row=rows, col=1)
    figure.update_layout(
        hovermode="x unified",
        hoversubplots="axis",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    )
    return finish(figure, height=110 + 190 * rows)


def _traces(curve: Curve) -> list[go.Scatter]:
    colour = FAINT if curve.faint else COLOURS[curve.colour % len(COLOURS)]
    line = {"color": colour, "dash": "dash" if curve.dashed else "solid"}
    x = step_positions(curve.steps.tolist())
    values = np.asarray(curve.values, float)
    thick = {
        "x": x,
        "y": values.mean(axis=0),
        "name": curve.name,
        "mode": "lines",
        "legendgroup": curve.name,
        "hovertemplate": "%{y:.4g}",
        "line": line | {"width": 1.2 if curve.faint else 2.2},
    }
    traces = [go.Scatter(**thick, showlegend=not curve.faint)]
    if len(values) > 1:
        thin = {"hoverinfo": "skip", "showlegend": False, "opacity": 0.35}
        traces += [
            go.Scatter(**(thick | thin | {"y": row, "line": line | {"width": 1}}))
            for row in values
        ]
    return traces
