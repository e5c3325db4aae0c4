"""Figures of local learning coefficients: traces, a calibration grid, conformance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Bool, Float

from ._style import COLOURS, FAINT, GRID, finish, plain


def chain_traces(trace: Float[np.ndarray, "chain draw"], mean: float) -> go.Figure:
    """What every chain drew, and the mean over all."""
    figure = go.Figure()
    for i, row in enumerate(np.asarray(trace, float)):
        figure.add_trace(
            go.Scatter(
                y=row,
                mode="lines",
                name=f"chain {i}",
                line={"width": 1, "color": COLOURS[i % len(COLOURS)]},
            )
        )
    figure.add_trace(
        go.Scatter(
            x=[0, trace.shape[1] - 1],
            y=[mean, mean],
            mode="lines",
            name="mean",
            line={"width": 2, "color": "#1f2933", "dash": "dash"},
        )
    )
    figure.update_xaxes(title={"text": "draw"}, gridcolor=GRID, zeroline=False)
    figure.update_yaxes(
        title={"text": "n_beta (L(w) − L(w*))"}, gridcolor=GRID, zerolinecolor=FAINT
    )
    figure.update_layout(
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    )
    return finish(figure, height=340).update_layout(margin={"t": 56})


def calibration_grid(
    values: Float[np.ndarray, "step_size n_beta"],
    step_sizes: Sequence[str],
    n_betas: Sequence[str],
    *,
    statuses: Sequence[Sequence[str]],
    inside: Bool[np.ndarray, "step_size n_beta"],
) -> go.Figure:
    """λ̂ over step sizes × n_betas; what belongs to a plateau is outlined.

    Colours are logarithmic, since where nothing holds still λ̂ spans decades.
    """
    shown = np.where(values > 0, values, np.nan)
    text = [
        [_cell(v, s) for v, s in zip(row, status, strict=True)]
        for row, status in zip(values, statuses, strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=np.log10(shown),
            x=list(n_betas),
            y=list(step_sizes),
            text=text,
            texttemplate="%{text}",
            colorscale="Cividis",
            colorbar={"title": {"text": "log₁₀ λ̂", "side": "right"}},
            hovertemplate="step size %{y}, n_beta %{x}<br>%{text}<extra></extra>",
        )
    )
    for i, j in zip(*np.nonzero(inside), strict=True):
        figure.add_shape(
            type="rect",
            x0=int(j) - 0.47,
            x1=int(j) + 0.47,
            y0=int(i) - 0.45,
            y1=int(i) + 0.45,
            line={"color": COLOURS[1], "width": 3},
        )
    figure.update_xaxes(type="category", title={"text": "n_beta"})
    figure.update_yaxes(type="category", title={"text": "step size"})
    return finish(figure, height=140 + 62 * len(step_sizes))


class Estimates(NamedTuple):
    """Coefficients of several things, found in one way.

    Args:
        name: Of the way; in the legend.
        values: One for each thing; NaN where there is none.
        errors: Half the length of an error bar at every value.
        notes: A word for every value; values with a word are open marks.
    """

    name: str
    values: Float[np.ndarray, " thing"]
    errors: Float[np.ndarray, " thing"]
    notes: Sequence[str]


def coefficient_rows(
    things: Sequence[str], estimates: Sequence[Estimates], *, log: bool = False
) -> go.Figure:
    """A row for each thing, with what every way of estimating gave."""
    figure = go.Figure()
    places = np.arange(len(things))
    apart = 0.22
    for i, found in enumerate(estimates):
        colour = COLOURS[i % len(COLOURS)]
        shift = apart * (i - (len(estimates) - 1) / 2)
        values = np.asarray(found.values, float)
        errors = np.nan_to_num(np.asarray(found.errors, float))
        text = [
            f"{plain(t)}, {plain(found.name)}: {_estimate(v, e)} {n}"
            for t, v, e, n in zip(things, values, errors, found.notes, strict=True)
        ]
        figure.add_trace(
            go.Scatter(
                x=np.where(values > 0, values, np.nan) if log else values,
                y=places + shift,
                error_x={"array": errors, "thickness": 1.5, "width": 3},
                mode="markers",
                name=plain(found.name),
                text=text,
                hovertemplate="%{text}<extra></extra>",
                marker={
                    "size": 10,
                    "color": colour,
                    "symbol": [
                        "circle-open" if note else "circle" for note in found.notes
                    ],
                    "line": {"width": 2},
                },
            )
        )
    figure.update_yaxes(
        tickvals=places.tolist(),
        ticktext=[plain(thing) for thing in things],
        range=[len(things) - 0.5, -0.5],
        automargin=True,
        gridcolor=GRID,
        zeroline=False,
    )
    figure.update_xaxes(
        type="log" if log else "linear",
        dtick=1 if log else None,
        title={"text": "local learning coefficient (± 2 s.e.)"},
        gridcolor=GRID,
        zeroline=False,
    )
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom"})
    return finish(figure, height=150 + 46 * len(things))


def conformance_scatter(
    exact: Float[np.ndarray, " case"],
    found: dict[str, Float[np.ndarray, " case"]],
    errors: dict[str, Float[np.ndarray, " case"]],
    cases: Sequence[str],
) -> go.Figure:
    """Found against exact coefficients, on logarithmic axes; the diagonal is right."""
    figure = go.Figure()
    ends = [float(exact.min()) * 0.8, float(exact.max()) * 1.25]
    figure.add_trace(
        go.Scatter(
            x=ends,
            y=ends,
            mode="lines",
            name="exact",
            line={"color": FAINT, "dash": "dot"},
            hoverinfo="skip",
        )
    )
    for i, (name, values) in enumerate(found.items()):
        off = [f"{100 * (v / e - 1):+.1f}%" for v, e in zip(values, exact, strict=True)]
        figure.add_trace(
            go.Scatter(
                x=exact,
                y=values,
                error_y={"array": 2 * errors[name], "thickness": 1, "width": 3},
                mode="markers",
                name=plain(name.replace("_", " ")),
                text=[f"{plain(c)}: {o}" for c, o in zip(cases, off, strict=True)],
                hovertemplate="%{text}<br>exact %{x:.4g}, found %{y:.4g}",
                marker={
                    "size": 9,
                    "color": COLOURS[i % len(COLOURS)],
                    "symbol": ("circle", "diamond", "square", "cross")[i % 4],
                    "opacity": 0.8,
                },
            )
        )
    ticks = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    kept = [t for t in ticks if ends[0] <= t <= ends[1]]
    axis = {
        "type": "log",
        "gridcolor": GRID,
        "zeroline": False,
        "tickvals": kept,
        "ticktext": [f"{t:g}" for t in kept],
    }
    figure.update_xaxes(**axis, title={"text": "exact coefficient"})
    figure.update_yaxes(**axis, title={"text": "estimate"})
    figure.update_layout(legend={"orientation": "h", "y": 1.0, "yanchor": "bottom"})
    return finish(figure, height=520)


def _estimate(value: float, error: float) -> str:
    return f"{value:.4g} ± {error:.2g}" if np.isfinite(value) else "no coefficient"


def _cell(value: float, status: str) -> str:
    number = "–" if not np.isfinite(value) else f"{value:.3g}"
    return (
        number if status == "converged" else f"{number}<br>{status.replace('_', ' ')}"
    )
