"""Figures of local learning coefficients: traces, a calibration grid, conformance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Bool, Float

from ._style import COLOURS, FAINT, GRID, finish, plain


def chain_traces(trace: Float[np.ndarray, "chain draw"], mean: float) -> go.Figure:
    """What every chain of a sampler drew, and the mean over all.

    Chains that have converged lie over each other and do not drift. Values are n_beta
    (L(w) - L(w*)), whose mean is the local learning coefficient (Lau et al. 2023), so
    the dashed line is the estimate.

    Args:
        trace: A row per chain, in order of draws.
        mean: Where the dashed line is drawn.

    Returns:
        A figure with a line per chain, and then the mean.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.plots import chain_traces
        >>> figure = chain_traces(np.array([[1.0, 3.0], [2.0, 2.0]]), 2.0)
        >>> [line.name for line in figure.data], figure.data[-1].y
        (['chain 0', 'chain 1', 'mean'], (2.0, 2.0))
    """
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
    """Estimated coefficients λ̂ over step sizes and n_betas.

    Cells of a plateau are outlined: there λ̂ does not depend on how it was sampled.
    Colours are logarithmic, since where nothing holds still λ̂ spans decades. A cell
    without a positive value has no colour, and one that did not converge says why.

    Args:
        values: λ̂ of each cell; NaN where there is none.
        step_sizes: Labels of the rows, from the bottom.
        n_betas: Labels of the columns.
        statuses: A word for each cell; `converged` is not written.
        inside: Which cells belong to a plateau.

    Returns:
        A figure with a heat map and an outline for each cell inside.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.plots import calibration_grid
        >>> figure = calibration_grid(
        ...     np.array([[10.0, 100.0]]), ["1e-4"], ["30", "100"],
        ...     statuses=[["converged", "diverged"]], inside=np.array([[True, False]]),
        ... )
        >>> figure.data[0].z.tolist(), len(figure.layout.shapes)
        ([[1.0, 2.0]], 1)
    """
    # A negative estimate has no logarithm; its cell still says the number.
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
        name: What the way is called in the legend.
        values: One coefficient for each thing; NaN where there is none.
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
    """A row for each thing, with the coefficient that every way of estimating gave.

    Ways have a colour each and lie a little apart, so that their error bars can be
    compared. Values with a note are open marks. Reports draw ablated programs so, and
    programs with published coefficients.

    Args:
        things: Labels of the rows, from the top.
        estimates: What each way gave, one value for each thing.
        log: Whether the axis is logarithmic; values that are not positive are then left
            out.

    Returns:
        A figure with a trace per way.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.plots import Estimates, coefficient_rows
        >>> values, errors = np.array([2.0, 4.0]), np.array([0.1, 0.5])
        >>> found = Estimates("sgld", values, errors, ["", ""])
        >>> coefficient_rows(["sort", "peak"], [found]).data[0].text[1]
        'peak, sgld: 4 ± 0.5 '
    """
    figure = go.Figure()
    places = np.arange(len(things))
    apart = 0.22
    for i, found in enumerate(estimates):
        colour = COLOURS[i % len(COLOURS)]
        # Around the row, so that with one way marks stand on it.
        shift = apart * (i - (len(estimates) - 1) / 2)
        values = np.asarray(found.values, float)
        # A single chain has no error, and its bar no length.
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
    """Found against exact coefficients, on logarithmic axes; the diagonal is right.

    Error bars are two standard errors long on each side. The pointer says by how many
    per cent a value is off. Cases of all sizes are seen alike, since equal distances
    from the diagonal are equal ratios.

    Args:
        exact: The coefficient that theory gives for each case; positive.
        found: Estimates of each case, by the name of the sampler.
        errors: Their standard errors, by the same names.
        cases: A label for each case.

    Returns:
        A figure with the diagonal, and then a trace per sampler.

    Example:
        >>> import numpy as np
        >>> from jaxcirc.plots import conformance_scatter
        >>> exact, found = np.array([1.0, 2.0]), {"sgld": np.array([1.1, 2.0])}
        >>> errors = {"sgld": np.array([0.1, 0.1])}
        >>> figure = conformance_scatter(exact, found, errors, ["ball", "cusp"])
        >>> figure.data[1].text
        ('ball: +10.0%', 'cusp: +0.0%')
    """
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
    # Left alone, plotly labels 2 and 5 as bare digits between decades.
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
    """A value with its error, or that there is none."""
    return f"{value:.4g} ± {error:.2g}" if np.isfinite(value) else "no coefficient"


def _cell(value: float, status: str) -> str:
    """The text of a cell: its value, and its status unless it converged."""
    number = "–" if not np.isfinite(value) else f"{value:.3g}"
    return (
        number if status == "converged" else f"{number}<br>{status.replace('_', ' ')}"
    )
