"""Is there a range of settings over which the estimate does not move?"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

# Change of ln λ̂ per unit of ln step_size: what discretisation within a few per cent
# leaves between two settings a factor of two apart.
MAX_STEP_SLOPE = 0.1
# Change of ln λ̂ per unit of ln n_beta. A local estimate is flat up to (m - 1) / ln t; a
# chain that does not feel the loss has λ̂ ∝ n_beta, a slope of 1. On a quadratic λ is a
# function of n_beta / gamma, so this is also how fast it falls with gamma: beyond a
# tenth the localisation decides the value, and not the loss.
MAX_BETA_SLOPE = 0.1
# Relative standard error of a change between neighbours that hides any slope.
MAX_NOISE = 0.25


class Plateau(NamedTuple):
    """Where an estimate holds still, if it does anywhere.

    Attributes:
        found: Whether there is such a place.
        sentence: The finding in words, or the reason why there is no plateau.
        inside: The places that belong to it, by step size and n_beta.
        value: Mean of λ̂ over them; NaN if there are none.
        beta_slope: Median |d ln λ̂ / d ln n_beta| over the whole grid: near 0 on a
            plateau, 1 where the chains do not feel the loss; NaN without two
            neighbours that are positive.
        step_slope: Median |d ln λ̂ / d ln step_size| over the whole grid.
    """

    found: bool
    sentence: str
    inside: Bool[np.ndarray, "step_size n_beta"]
    value: float
    beta_slope: float
    step_slope: float


def find_plateau(
    values: Float[np.ndarray, "step_size n_beta"],
    step_sizes: Sequence[float] | Float[np.ndarray, " step_size"],
    n_betas: Sequence[float] | Float[np.ndarray, " n_beta"],
    *,
    usable: Bool[np.ndarray, "step_size n_beta"] | None = None,
    standard_errors: Float[np.ndarray, "step_size n_beta"] | None = None,
) -> Plateau:
    """Whether an estimate holds still over a grid of step sizes and n_betas.

    An estimate that depends on the sampler's settings measures the settings. A block of
    two by two neighbours belongs to the plateau where ln λ̂ changes by at most 0.1 per
    unit of ln step size, and by at most 0.1 per unit of ln n_beta, after two standard
    errors of the difference have been taken off; the plateau is the union of these
    blocks. Settings whose λ̂ is NaN or not positive belong to none, nor do neighbours
    whose difference has a standard error of more than a quarter of λ̂. On a quadratic
    the slope in n_beta is also that in 1 / gamma, so a value that the localisation
    decides is on no plateau.

    Args:
        values: λ̂; NaN where chains diverged.
        step_sizes: Ascending, at least two.
        n_betas: Ascending, at least two.
        usable: Where the estimate is local; everywhere finite if None.
        standard_errors: Standard errors of `values`; zeros if None.

    Returns:
        The plateau if there is one, else the reason why there is none.

    Raises:
        ValueError: the grid has fewer than two settings along an axis, or its labels do
            not ascend.

    Example:
        >>> import numpy as np
        >>> values = np.array([[1.0, 3.0, 3.0], [1.0, 3.0, 3.0]])
        >>> found = find_plateau(values, [1e-5, 2e-5], [1.0, 10.0, 100.0])
        >>> found.inside.tolist()
        [[False, True, True], [False, True, True]]
        >>> found.value
        3.0
    """
    for name, labels in (("step_sizes", step_sizes), ("n_betas", n_betas)):
        if len(labels) < 2 or not all(np.diff(labels) > 0):
            raise ValueError(
                f"find_plateau: `{name}` needs at least two ascending values; got "
                f"{list(labels)}."
            )
    positive = np.isfinite(values) & (values > 0)
    good = positive if usable is None else positive & usable
    spread = np.zeros_like(values) if standard_errors is None else standard_errors
    steps = _slopes(values, spread, np.log(step_sizes), good, axis=0)
    betas = _slopes(values, spread, np.log(n_betas), good, axis=1)
    flat_steps, flat_betas = steps <= MAX_STEP_SLOPE, betas <= MAX_BETA_SLOPE
    # A block needs both of its edges along either axis to be flat.
    block = flat_steps[:, :-1] & flat_steps[:, 1:] & flat_betas[:-1] & flat_betas[1:]
    inside = np.zeros_like(good)
    for i, j in zip(*np.nonzero(block), strict=True):
        inside[i : i + 2, j : j + 2] = True
    beta_slope = _median(_slopes(values, 0 * spread, np.log(n_betas), positive, axis=1))
    step_slope = _median(
        _slopes(values, 0 * spread, np.log(step_sizes), positive, axis=0)
    )
    if inside.any():
        value = float(values[inside].mean())
        sentence = (
            f"λ̂ holds still, near {value:.4g}, over {int(inside.sum())} of "
            f"{inside.size} settings."
        )
        return Plateau(True, sentence, inside, value, beta_slope, step_slope)
    if not good.any():
        why = "at no setting is the estimate local"
    elif beta_slope > 0.5:
        why = (
            f"λ̂ grows like n_beta^{beta_slope:.2f}: the chains hardly feel the loss, "
            "or have left the neighbourhood"
        )
    elif beta_slope > MAX_BETA_SLOPE:
        why = (
            f"λ̂ grows like n_beta^{beta_slope:.2f}: the localisation decides many "
            "directions, so lower `gamma` or raise `n_beta`"
        )
    elif step_slope > MAX_STEP_SLOPE:
        why = f"λ̂ grows with the step size, like step_size^{step_slope:.2f}"
    else:
        why = "neighbouring settings do not agree"
    sentence = f"no plateau: {why}."
    return Plateau(False, sentence, inside, float("nan"), beta_slope, step_slope)


def _slopes(
    values: np.ndarray,
    errors: np.ndarray,
    log_labels: np.ndarray,
    good: np.ndarray,
    *,
    axis: int,
) -> np.ndarray:
    """|Δ ln λ̂| / Δ ln label between neighbours, infinite where one is unusable."""
    safe = np.where(good, values, 1.0)
    logs = np.moveaxis(np.log(safe), axis, 0)
    noise = np.moveaxis(np.where(good, errors / safe, 0), axis, 0)
    there = np.moveaxis(good, axis, 0)
    error = np.hypot(noise[1:], noise[:-1])
    change = np.abs(np.diff(logs, axis=0)) - 2 * error
    slope = np.maximum(change, 0) / np.diff(log_labels)[:, None]
    told = there[1:] & there[:-1] & (error <= MAX_NOISE)
    slope = np.where(told, slope, np.inf)
    return np.moveaxis(slope, 0, axis)


def _median(slopes: np.ndarray) -> float:
    finite = slopes[np.isfinite(slopes)]
    return float(np.median(finite)) if len(finite) else float("nan")
