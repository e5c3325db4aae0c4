"""Developmental curves: quantities over training, stacked above one step axis."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float, Int

from ._style import (
    COLOURS,
    FAINT,
    GRID,
    finish,
    plain,
    ramp,
    step_axis,
    step_positions,
)

# More labels than this run into each other on a panel's logarithmic axis.
MOST_DECADES = 6


# Up to this number of checkpoints, each is marked.
FEW = 4


class Curve(NamedTuple):
    """One quantity over training.

    Args:
        name: The name in the legend; empty for the only curve of a panel.
        steps: Training steps at which it was measured, ascending.
        values: One row per seed, in the units that the panel's title says. NaN leaves a
            gap.
        colour: Number of its colour, counted around the seven that there are.
        dashed: Whether to draw it dashed, to tell it from its pair without colour.
        faint: Whether to draw it in the background, without legend and pointer.
        errors: Half the length of an error bar at every value.
        notes: A word for every value; points with a word stand out.
        shade: Place on a ramp from 0 to 1, instead of a colour of its own: for layers.
    """

    name: str
    steps: Int[np.ndarray, " step"]
    values: Float[np.ndarray, "seed step"]
    colour: int
    dashed: bool = False
    faint: bool = False
    errors: Float[np.ndarray, "seed step"] | None = None
    notes: Sequence[Sequence[str]] | None = None
    shade: float | None = None


class CurvePanel(NamedTuple):
    """Curves that share a vertical axis.

    Args:
        title: Title of the axis, with units, in plotly's markup.
        curves: What to draw.
        chance: Level of a model that knows nothing; None where there is no such level.
        log: Whether to use a logarithmic axis, which is done where positive values span
            a decade or more.
    """

    title: str
    curves: Sequence[Curve]
    chance: float | None = None
    log: bool = False


def developmental_curves(panels: Sequence[CurvePanel]) -> go.Figure:
    """Quantities over training, in panels above one logarithmic step axis.

    Step 0 has a place at the left end, and the pointer reads all panels at once.
    Several seeds are drawn as thin lines with their mean, or one by one with error bars
    where a curve has errors or notes. A name and colour that several panels share is
    one entry of the legend.

    Args:
        panels: From top to bottom; each is 190 pixels high.

    Returns:
        A figure, to be shown or written by plotly.

    Example:
        Two seeds make two thin lines and their mean, which comes first.

        >>> import numpy as np
        >>> from jaxcirc.plots import Curve, CurvePanel, developmental_curves
        >>> steps, losses = np.array([0, 10]), np.array([[3.0, 1.0], [5.0, 2.0]])
        >>> curve = Curve("loss", steps, losses, colour=0)
        >>> figure = developmental_curves([CurvePanel("loss (nats)", [curve])])
        >>> len(figure.data), figure.data[0].y.tolist()
        (3, [4.0, 1.5])
    """
    figure = go.Figure()
    rows, gap = max(len(panels), 1), 0.12 / max(len(panels), 1)
    height = (1 - gap * (rows - 1)) / rows
    every_step: set[int] = set()
    named: set[tuple[str, int]] = set()
    for row, panel in enumerate(panels):
        # One x axis for all: only so does plotly read every panel under the pointer.
        axis = f"y{row + 1}" if row else "y"
        top = 1 - row * (height + gap)
        for curve in panel.curves:
            every_step.update(int(step) for step in curve.steps)
            for trace in _traces(curve, panel.title.replace("<br>", " ")):
                key = (curve.name, curve.colour)
                trace.yaxis = axis
                shown = trace.showlegend is not False and bool(curve.name)
                trace.showlegend = shown and key not in named
                if trace.showlegend:
                    named.add(key)
                figure.add_trace(trace)
        decades = _decades(panel)
        # Less than a decade would have no label on a logarithmic axis.
        log = panel.log and decades >= 1
        if panel.chance is not None:
            _draw_chance(figure, panel.chance, axis, log=log)
        figure.layout[axis.replace("y", "yaxis")] = {
            "domain": [max(top - height, 0), top],
            "title": {"text": panel.title, "standoff": 12},
            "type": "log" if log else "linear",
            # Whole decades, and few enough to be read: left alone, plotly would label
            # 2 and 5 in between as bare digits.
            "dtick": max(1, round(decades / MOST_DECADES)) if log else None,
            "automargin": True,
            "gridcolor": GRID,
            "zeroline": False,
            "exponentformat": "power",
        }
    figure.update_layout(
        xaxis=step_axis(sorted(every_step))
        | {
            "anchor": f"y{rows}" if rows > 1 else "y",
            "showspikes": True,
            "spikemode": "across",
            "spikethickness": 1,
            "spikecolor": FAINT,
        },
        hovermode="x unified",
        hoversubplots="axis",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0},
    )
    return finish(figure, height=110 + 190 * rows)


def _decades(panel: CurvePanel) -> float:
    """Decades from the least positive value of a panel to the highest."""
    values = np.concatenate([np.ravel(curve.values) for curve in panel.curves])
    shown = values[np.isfinite(values) & (values > 0)]
    return float(np.log10(shown.max() / shown.min())) if len(shown) else 0.0


def _draw_chance(figure: go.Figure, chance: float, axis: str, *, log: bool) -> None:
    """Draw the level of chance across a panel, with its name at the right end."""
    line = {"color": FAINT, "dash": "dot", "width": 1}
    figure.add_shape(
        type="line",
        xref="paper",
        x0=0,
        x1=1,
        yref=axis,
        y0=chance,
        y1=chance,
        line=line,
    )
    figure.add_annotation(
        text="chance",
        font={"size": 11, "color": FAINT},
        xref="paper",
        x=1,
        xanchor="right",
        yref=axis,
        # Annotations, unlike shapes, are placed by exponent on a logarithmic axis.
        y=np.log10(chance) if log else chance,
        yanchor="bottom",
        showarrow=False,
    )


def _traces(curve: Curve, title: str) -> list[go.Scatter]:
    """The mean over seeds, and thin lines for the seeds if there are several."""
    colour = FAINT if curve.faint else COLOURS[curve.colour % len(COLOURS)]
    if curve.shade is not None:
        colour = ramp(curve.shade)
    line = {"color": colour, "dash": "dash" if curve.dashed else "solid"}
    x = step_positions(curve.steps.tolist())
    values = np.asarray(curve.values, float)
    mean = values.mean(axis=0)
    few, alone = len(x) <= FEW, _alone(mean)
    thick = {
        "x": x,
        "y": mean,
        "name": plain(curve.name),
        # A line through a single value would show nothing.
        "mode": "lines+markers" if few or alone.any() else "lines",
        "legendgroup": curve.name,
        # One box lists all panels, so each number says what it is of.
        "hovertemplate": f"%{{y:.4g}} {title}",
        "line": line | {"width": 1.2 if curve.faint else 2.2},
    }
    if alone.any() and not few:
        thick["marker"] = {"size": np.where(alone, 6, 0)}
    silent = {"hoverinfo": "skip", "hovertemplate": None, "showlegend": False}
    if curve.faint:
        thick |= silent
    if curve.errors is not None or curve.notes is not None:
        return _with_error_bars(curve, thick, colour)
    traces = [go.Scatter(**thick)]
    if len(values) > 1:
        thin = silent | {"opacity": 0.35, "line": line | {"width": 1}}
        thin["mode"] = "lines"
        traces += [go.Scatter(**(thick | thin | {"y": row})) for row in values]
    return traces


def _alone(values: np.ndarray) -> np.ndarray:
    """Which values are finite and have no finite neighbour to draw a line to."""
    known = np.isfinite(values)
    none = np.zeros(1, bool)
    before = np.concatenate([none, known[:-1]])
    after = np.concatenate([known[1:], none])
    return known & ~before & ~after


def _with_error_bars(curve: Curve, thick: dict, colour: str) -> list[go.Scatter]:
    """A line for each seed; a value with a note is an open mark."""
    traces = []
    for i, row in enumerate(np.asarray(curve.values, float)):
        notes = [""] * len(row) if curve.notes is None else list(curve.notes[i])
        name = plain(curve.name)
        name += "" if len(curve.values) == 1 else f", seed {i}"
        errors = None
        if curve.errors is not None:
            bars = np.nan_to_num(np.asarray(curve.errors[i], float))
            errors = {"array": bars, "thickness": 1, "width": 2, "color": colour}
        traces.append(
            go.Scatter(
                **thick
                | {
                    "y": row,
                    "name": name,
                    "mode": "lines+markers",
                    "error_y": errors,
                    "line": thick["line"] | {"width": 1.5},
                    "text": notes,
                    "hovertemplate": thick["hovertemplate"] + " %{text}",
                    "marker": {
                        "size": [9 if note else 5 for note in notes],
                        "symbol": ["x-thin-open" if n else "circle" for n in notes],
                        "color": ["#D55E00" if n else colour for n in notes],
                        "line": {"width": 2},
                    },
                    "showlegend": True,
                }
            )
        )
    return traces
