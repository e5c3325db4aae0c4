"""The page's sections on local learning coefficients."""

from typing import Any

import numpy as np
import xarray as xr

from ..plots import (
    Curve,
    CurvePanel,
    Estimates,
    calibration_grid,
    chain_traces,
    coefficient_rows,
    conformance_scatter,
)

STATUSES = (
    "converged",
    "transient",
    "non_local",
    "diverged",
    "below_initial_loss",
)


def llc_panel(data: xr.Dataset, solution: xr.Dataset | None) -> CurvePanel:
    """λ̂ over training with error bars; what is not converged is marked.

    With the coefficient of a known solution as a level, where there is one.
    """
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
    curves = [curve]
    if solution is not None and bool(np.isfinite(solution["llc"]).all()):
        value = float(solution["llc"].isel(step=-1, seed=0))
        ends = llc["step"].values[[0, -1]]
        level = Curve("known solution", ends, np.full((1, 2), value), 5, dashed=True)
        curves.append(level)
    return CurvePanel("LLC<br>(± 2 s.e.)", curves)


def status_words(codes: xr.DataArray) -> Any:
    """Codes as words, in nested lists; one code is one word."""
    words = np.array([*STATUSES, "unknown"], object)
    known = np.isin(codes.values, range(len(STATUSES)))
    places = np.where(known, codes.values, len(STATUSES)).astype(int)
    # Indexing with a single code gives a word and not an array.
    return np.asarray(words[places], object).tolist()


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
        _chains_sentence(*numbers)
        for numbers in zip(
            *(
                one[k].transpose("step").values.tolist()
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
            round(float(v), 4) if np.isfinite(v) else None for v in one["llc"].values
        ],
        "sentences": sentences,
    }


def _chains_sentence(
    value: float,
    error: float,
    rhat: float,
    ess: float,
    after: float,
    before: float,
    status: str,
) -> str:
    if not np.isfinite(value):
        return f"No chain gave a coefficient ({status.replace('_', ' ')})."
    return (
        f"LLC {float(value):.4g} ± {2 * float(error):.2g}, {status.replace('_', ' ')}; "
        f"split R-hat {float(rhat):.3f}, {float(ess):.0f} independent draws; mean loss "
        f"{float(after):.4g} at the draws and {float(before):.4g} at w*."
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


def solution_sentence(data: xr.Dataset) -> str:
    """The coefficient of the known solution, and what it is worth."""
    last = data.isel(step=-1, seed=0)
    word = status_words(last["status"])
    value, error = float(last["llc"]), 2 * float(last["standard_error"])
    if np.isnan(value):
        return "Every chain around the model known to solve the task diverged."
    return (
        f"A model known to solve the task has the coefficient {value:.4g} ± {error:.2g}"
        f" ({str(word).replace('_', ' ')}), at n_beta {float(last['n_beta']):.4g}."
    )


def ablation_figure(data: xr.Dataset) -> Any:
    """The coefficient of what is left without each part."""
    last = data.isel(step=-1, seed=0)
    return coefficient_rows(
        [
            "intact" if a == "nothing" else f"without {a}"
            for a in last["ablation"].values
        ],
        [_estimates("LLC", last)],
    )


def ablation_table(data: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """A row for each ablation: accuracy, loss, coefficient."""
    last = data.isel(step=-1, seed=0)
    header = ["silenced", "right answers", "loss (nats)", "LLC", "status"]
    rows = []
    for part in last["ablation"].values:
        one = last.sel(ablation=part)
        rows.append(
            (
                str(part),
                f"{100 * float(one['rank_0_rate']):.1f}%",
                f"{float(one['loss']):.3g}",
                _with_error(one),
                str(status_words(one["status"])).replace("_", " "),
            )
        )
    return header, rows


def programs_figure(data: xr.Dataset) -> Any:
    """Coefficients of programs by every sampler."""
    last = data.isel(step=-1, seed=0)
    names = [str(p).replace("_", " ") for p in last["program"].values]
    ways = [
        _estimates(str(s).replace("_", " "), last.sel(sampler=s))
        for s in last["sampler"].values
    ]
    return coefficient_rows(names, ways, log=True)


def programs_table(data: xr.Dataset) -> tuple[list[str], list[tuple]]:
    """A row for each program: published, repeated, and corrected by each sampler."""
    last = data.isel(step=-1, seed=0)
    samplers = [str(s) for s in last["sampler"].values]
    header = ["program", "parameters", "right", "published", "repeated here"]
    for name in samplers:
        header += [f"LLC by {name.replace('_', ' ')}", "status"]
    rows = []
    for program in last["program"].values:
        one = last.sel(program=program)
        cells = [
            str(program).replace("_", " "),
            f"{int(one['parameters']):,}",
            f"{100 * float(one['accuracy']):.1f}%",
            _spread(one, "published")
            + ("" if bool(one["same_function"]) else ", another function"),
            _spread(one, "repeated"),
        ]
        for name in samplers:
            by = one.sel(sampler=name)
            word = str(status_words(by["status"])).replace("_", " ")
            run = int(by["status"]) >= 0
            cells += [_with_error(by), word] if run else ["–", "not run"]
        rows.append(tuple(cells))
    return header, rows


def programs_sentence(data: xr.Dataset) -> str:
    """How far the samplers agree, and how far the earlier study is repeated."""
    last = data.isel(step=-1, seed=0)
    off = np.abs(last["repeated"] - last["published"])
    allowed = 2 * np.hypot(last["published_spread"], last["repeated_spread"])
    near = int((off <= allowed).sum())
    words = status_words(last["status"].transpose("program", "sampler"))
    run = (last["status"] >= 0).transpose("program", "sampler").values
    counts = {
        str(s).replace("_", " "): sum(
            row[i] == "converged" and done[i]
            for row, done in zip(words, run, strict=True)
        )
        for i, s in enumerate(last["sampler"].values)
    }
    totals = dict(zip(counts, run.sum(axis=0), strict=True))
    converged = ", ".join(f"{n} of {totals[k]} by {k}" for k, n in counts.items())
    return (
        f"Of {last.sizes['program']} programs the published procedure gives the "
        f"published coefficient, within twice the spread of both, for {near}. Of the "
        f"answers themselves, with chains that are long enough, {converged} are "
        "converged; open marks are not."
    )


def _estimates(name: str, data: xr.Dataset) -> Estimates:
    words = [str(w) for w in np.atleast_1d(status_words(data["status"]))]
    notes = ["" if w == "converged" else w.replace("_", " ") for w in words]
    values = data["llc"].values.astype(float)
    return Estimates(name, values, 2 * data["standard_error"].values, notes)


def _with_error(one: xr.Dataset) -> str:
    value, error = float(one["llc"]), 2 * float(one["standard_error"])
    return "–" if np.isnan(value) else f"{value:.4g} ± {error:.2g}"


def _spread(one: xr.Dataset, name: str) -> str:
    value, spread = float(one[name]), float(one[f"{name}_spread"])
    if np.isnan(value):
        return "–"
    return f"{value:.3g} ± {spread:.2g}" if spread else f"{value:.3g}"


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
