"""Local learning coefficients over training, and the chains behind each of them."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ...plots import Curve, CurvePanel
from .._codes import UNKNOWN, code_words, meanings
from .._estimates import GOOD, remarks, trace_figure
from .._results import by_seed, last_finite, once, step_text
from .._section import Block, SectionSpec, View
from .._thin import thinned, thinned_text
from .._when import at_step

# The sentence below the slider tells these, in this order.
_TOLD = ("llc", "standard_error", "rhat", "ess", "sampled_loss", "initial_loss")


def overview(view: View) -> list[CurvePanel]:
    """λ̂ with error bars; what is not converged is marked.

    With the coefficient of a known solution as a level, where the study has one.
    """
    solutions = view.of_kind("llc_solution")
    return [panel(view.data, solutions[0] if solutions else None)]


def panel(data: xr.Dataset, solution: xr.Dataset | None) -> CurvePanel:
    """Coefficients with error bars, and the level of a known solution if there is one.

    Args:
        data: Results with `llc`, `standard_error` and `status` over `step` and `seed`.
        solution: What was measured of a model that is known to solve the task.
    """
    llc, error = data["llc"], data["standard_error"]
    curve = Curve(
        "LLC",
        llc["step"].values,
        by_seed(llc),
        colour=4,
        errors=2 * by_seed(error),
        notes=remarks(data["status"].transpose("seed", "step")).tolist(),
    )
    level = [] if solution is None else _level(llc, float(once(solution)["llc"]))
    return CurvePanel("LLC<br>(± 2 s.e.)", [curve, *level])


def draw(view: View) -> list[Block]:
    """Every draw of each chain at one checkpoint, with a slider over checkpoints."""
    data, number = view.data, view.data.sizes["step"]
    text = (
        "Every draw of each chain at one checkpoint: flat and mixed where the estimate "
        "can be used. Move the slider, or click a point of the LLC curve above; a "
        "cross there is an estimate that is not converged."
    )
    # Four decimals, the sign, the figures before the point and a comma.
    each = 10 * data["trace"].isel(step=0, seed=0).size
    chosen = thinned(number, each, view.budget)
    explorer = traces(data.isel(step=chosen))
    text += thinned_text(len(chosen), number)
    return [Block("LLC chains", text, trace_figure(data), explorer)]


def traces(data: xr.Dataset) -> dict[str, Any]:
    """The chains of the first seed, a mean and a sentence for every checkpoint."""
    one = data.isel(seed=0)
    values = one["trace"].transpose("step", "chain", "draw").values
    numbers = [one[name].transpose("step").values.tolist() for name in _TOLD]
    words = code_words(one["status"].transpose("step"))
    return {
        "steps": one["step"].values.tolist(),
        "values": _rounded(values),
        "means": _rounded(one["llc"].values),
        "sentences": [
            _chains_sentence(*told) for told in zip(*numbers, words, strict=True)
        ],
    }


def findings(view: View) -> list[str]:
    """Sentences on the highest coefficient, the last, and how many estimates hold."""
    data = view.data
    mean = data["llc"].mean("seed")
    end = last_finite(mean)
    counted = _counted(data["status"])
    if end is None:
        return [f"At no checkpoint is there a local learning coefficient. {counted}"]
    top, error = int(mean.argmax("step")), data["standard_error"].isel(step=end)
    seeds = int(np.isfinite(data["llc"].isel(step=end)).sum())
    wide = 2 * float(error.mean()) / np.sqrt(seeds)
    sentence = (
        f"The local learning coefficient is highest at step "
        f"{step_text(int(mean['step'][top]))}, with {float(mean[top]):.3g}, and "
        f"{float(mean[end]):.3g} ± {wide:.2g} {at_step(data['llc'], end)}."
    )
    sentence += _heated(data, end, float(mean[end]))
    later = mean["step"].values[end + 1 :].tolist()
    if later:
        sentence += f" From step {step_text(later[0])} on, every chain diverged."
    return [sentence, counted]


def _heated(data: xr.Dataset, end: int, value: float) -> str:
    """How much of the last value is heat, where that is known and not negligible."""
    if "heating" not in data:
        return ""
    heating = float(data["heating"].mean("seed")[end])
    if not heating > 0.01 * abs(value):
        return ""
    return (
        f" Of that, about {heating:.2g} is what step size and the noise of minibatches "
        "have added."
    )


def _level(llc: xr.DataArray, value: float) -> list[Curve]:
    """A dashed line for the coefficient of a known solution."""
    if not np.isfinite(value):
        return []
    ends = llc["step"].values[[0, -1]]
    return [Curve("known solution", ends, np.full((1, 2), value), 5, dashed=True)]


def _rounded(values: np.ndarray) -> list:
    """Nested lists for JSON, which has no word for what is not finite."""
    values = values.astype(float)
    made = np.round(values, 4).astype(object)
    made[~np.isfinite(values)] = None
    return made.tolist()


def _chains_sentence(
    value: float,
    error: float,
    rhat: float,
    ess: float,
    after: float,
    before: float,
    status: str,
) -> str:
    """A sentence on the chains of one checkpoint."""
    if not np.isfinite(value):
        return f"No chain gave a coefficient ({status})."
    return (
        f"LLC {value:.4g} ± {2 * error:.2g}, {status}; split R-hat {rhat:.3f}, "
        f"{ess:.0f} independent draws; mean loss {after:.4g} at the draws and "
        f"{before:.4g} at w*."
    )


def _counted(status: xr.DataArray) -> str:
    """A sentence on how many estimates are converged, and what the others are."""
    counts = Counter(code_words(status).ravel().tolist())
    # Codes are in the order of how bad they are, and so are the words.
    order = [*meanings(status.attrs).values(), UNKNOWN]
    others = [f"{counts[word]} {word}" for word in order if counts[word]]
    others = [told for told in others if not told.endswith(f" {GOOD}")]
    rest = f"; the others: {', '.join(others)}" if others else ""
    return f"{counts[GOOD]} of {status.size} LLC estimates are converged{rest}."


SECTION = SectionSpec("llc", draw, overview, findings, explorer=Path(__file__))
