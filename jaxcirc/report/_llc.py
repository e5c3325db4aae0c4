"""The page's sections on local learning coefficients."""

from typing import Any

import numpy as np
import xarray as xr

from ..plots import (
    Curve,
    CurvePanel,
    calibration_grid,
    chain_traces,
    conformance_scatter,
    developmental_curves,
)

STATUSES = (
    "converged",
    "transient",
    "non_local",
    "diverged",
    "below_initial_loss",
)


def llc_panel(data: xr.Dataset) -> CurvePanel:
    """λ̂ over training with error bars; what is not converged is marked."""
    llc, error = data["llc"], data["standard_error"]
    notes = [
        ["" if s == "converged" else s.replace("_", " ") for s in row]
        for row in status_words(data["status"].transpose("seed", "step"))
    ]
    curve = Curve(
        "LLC",
        llc["step"].values,
        llc.transpose("seed", "step").values,
        colour=4,
        errors=2 * error.transpose("seed", "step").values,
        notes=notes,
    )
    return CurvePanel("LLC<br>(± 2 s.e.)", [curve])


def status_words(codes: xr.DataArray) -> list[Any]:
    """Codes as words, in nested lists."""
    words = np.array(STATUSES, object)
    return words[codes.values.astype(int)].tolist()


def trace_figure(data: xr.Dataset) -> Any:
    """The chains of the last checkpoint."""
    last = data.isel(step=-1, seed=0)
    trace = last["trace"].transpose("chain", "draw").values
    return chain_traces(trace, float(last["llc"]))


def trace_explorer(data: xr.Dataset) -> dict[str, Any]:
    """The chains of every checkpoint, for the slider and for clicks on the curve."""
    one = data.isel(seed=0)
    trace = one["trace"].transpose("step", "chain", "draw").values
    words = status_words(one["status"].transpose("step"))
    finite = np.round(trace, 4).astype(object)
    finite[~np.isfinite(trace)] = None
    sentences = [
        f"LLC {float(v):.4g} ± {2 * float(e):.2g}, {word.replace('_', ' ')}; split "
        f"R-hat {float(r):.3f}, {float(n):.0f} independent draws; mean loss "
        f"{float(after):.4g} at the draws and {float(before):.4g} at w*."
        for v, e, r, n, after, before, word in zip(
            *(
                one[k].transpose("step").values
                for k in (
                    "llc",
                    "standard_error",
                    "rhat",
                    "ess",
                    "sampled_loss",
                    "initial_loss",
                )
            ),
            words,
            strict=True,
        )
    ]
    return {
        "kind": "traces",
        "steps": one["step"].values.tolist(),
        "values": finite.tolist(),
        "means": [
            None if np.isnan(v) else round(float(v), 4) for v in one["llc"].values
        ],
        "sentences": sentences,
    }


def status_curves(data: xr.Dataset) -> Any:
    """How far the chains can be trusted, over training."""
    steps = data["step"].values

    def panel(name: str, title: str, *, log: bool = False) -> CurvePanel:
        values = data[name].transpose("seed", "step").values
        return CurvePanel(
            title, [Curve(title.split("<")[0], steps, values, 0)], log=log
        )

    return developmental_curves(
        [panel("rhat", "split R-hat"), panel("ess", "independent<br>draws")]
    )


def grid_figure(data: xr.Dataset) -> Any:
    """The calibration grid of the last checkpoint."""
    last = data.isel(step=-1, seed=0).transpose("step_size", "n_beta", ...)
    return calibration_grid(
        last["llc"].values.astype(float),
        [str(x) for x in last["step_size"].values],
        [str(x) for x in last["n_beta"].values],
        statuses=status_words(last["status"]),
        inside=last["inside"].values.astype(bool),
    )


def grid_sentence(data: xr.Dataset) -> str:
    """What the grid says."""
    last = data.isel(step=-1, seed=0)
    inside = last["inside"].values.astype(bool)
    slope = float(last["beta_slope"])
    if inside.any():
        value = float(last["llc"].values[inside].mean())
        return (
            f"The estimate holds still, near {value:.3g}, over {inside.sum()} of "
            f"{inside.size} settings (outlined); over the whole grid it goes like "
            f"n_beta to the power {slope:.2f}."
        )
    return (
        "There is no plateau: at no block of neighbouring settings do local estimates "
        f"agree. Over the grid λ̂ goes like n_beta to the power {slope:.2f}; 1 means "
        "that the chains do not feel the loss."
    )


def conformance_figure(data: xr.Dataset) -> Any:
    """Found against exact."""
    last = data.isel(step=-1, seed=0)
    names = [str(s) for s in last["sampler"].values]
    return conformance_scatter(
        last["exact"].isel(sampler=0).values.astype(float),
        {n: last["llc"].sel(sampler=n).values.astype(float) for n in names},
        {n: last["standard_error"].sel(sampler=n).values.astype(float) for n in names},
        [str(c) for c in last["case"].values],
    )


def conformance_table(data: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """A row for each case, with what every sampler gave."""
    last = data.isel(step=-1, seed=0)
    names = [str(s) for s in last["sampler"].values]
    header = ["case", "exact"]
    for name in names:
        header += [name.replace("_", " "), "error"]
    rows = []
    for case in last["case"].values:
        row = last.sel(case=case)
        cells = [str(case), f"{float(row['exact'].isel(sampler=0)):.4g}"]
        for name in names:
            one = row.sel(sampler=name)
            value, error = float(one["llc"]), 2 * float(one["standard_error"])
            cells += [
                f"{value:.4g} ± {error:.2g}",
                f"{100 * float(one['error']):+.1f}%",
            ]
        rows.append(tuple(cells))
    return header, rows


def conformance_sentence(data: xr.Dataset) -> str:
    """How far off each sampler is."""
    last = data.isel(step=-1, seed=0)
    parts = []
    for name in last["sampler"].values:
        one = last.sel(sampler=name)
        off = np.abs(one["error"].values.astype(float))
        gradients = float(one["gradients"].median())
        parts.append(
            f"{str(name).replace('_', ' ')} is off by {100 * np.median(off):.1f}% in "
            f"the median and {100 * np.max(off):.1f}% at most, with {gradients:,.0f} "
            "gradients per chain"
        )
    return (
        "Losses whose coefficients are known exactly, sampled by the same code: "
        + "; ".join(parts)
        + "."
    )
