"""Normal crossings, K(w) = Π w_i^(2 k_i): the local form of every singularity."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy
from jaxtyping import Float

from ._coefficient import LearningCoefficient


def normal_crossing(
    powers: Sequence[int], prior_powers: Sequence[int] | None = None
) -> LearningCoefficient:
    """λ = min (h_i + 1) / (2 k_i), and m is the number of variables that attain it.

    For K = Π w_i^(2 k_i) and a prior that vanishes like Π |w_i|^(h_i) at the origin
    (Watanabe 2009, ch. 4). Every analytic loss is of this form after a resolution of
    its singularities, so these are what samplers are tested on first. λ is at most half
    the number of variables with k_i > 0, and variables with k_i = 0 play no part.

    Args:
        powers: k_i, at least one of them positive.
        prior_powers: h_i; zeros if None.

    Returns:
        λ, and its multiplicity m.

    Raises:
        ValueError: a power is negative, all of `powers` are 0, or there are not as many
            of both.

    Example:
        >>> normal_crossing((1, 1))
        LearningCoefficient(value=0.5, multiplicity=2)
    """
    k, h = _check(powers, prior_powers)
    thresholds = [(b + 1) / (2 * a) for a, b in zip(k, h, strict=True) if a]
    least = min(thresholds)
    return LearningCoefficient(least, sum(x == least for x in thresholds))


def normal_crossing_at(
    powers: Sequence[int],
    *,
    n_beta: float,
    prior: Literal["gaussian", "box"] = "gaussian",
    scale: float = 1.0,
    prior_powers: Sequence[int] | None = None,
) -> float:
    """Excess t E[K] of a normal crossing at a finite t, as a perfect sampler has it.

    The mean is over the density exp(-t K) times a prior. In s = ln K the prior's
    density is a convolution of one density for each variable, which is done
    numerically: accurate to 1e-4, for t up to 1e12. It approaches λ like λ - (m - 1) /
    ln t, so samplers are compared with it and not with `normal_crossing` where m is 2.

    Args:
        powers: k_i.
        n_beta: t.
        prior: `gaussian`, exp(-scale w²/2) for each variable, so `scale` is `gamma`; or
            `box`, uniform for |w| ≤ `scale`.
        scale: Precision of the Gaussian, or half the side of the box.
        prior_powers: h_i of a further factor Π |w_i|^(h_i); zeros if None.

    Raises:
        ValueError: a power is negative, all of `powers` are 0, or `scale` or `n_beta`
            is not positive.

    Example:
        >>> round(normal_crossing_at((1, 1), n_beta=1e4), 4)
        0.4123
    """
    k, h = _check(powers, prior_powers)
    if not (scale > 0 and n_beta > 0):
        raise ValueError(
            f"truth.normal_crossing_at: `scale` and `n_beta` must be positive; got "
            f"{scale} and {n_beta}."
        )
    # From far below the smallest K that matters, 1 / t, where exp(λ s) has died out.
    step, low = 0.01, -np.log(n_beta) - 24 / normal_crossing(powers, prior_powers).value
    width = int((40 - low) / step)
    # A density that jumps must do so between two points of its grid.
    density, start = None, 0.0
    for a, b in zip(k, h, strict=True):
        if not a:
            continue
        own, own_start = _log_density(a, b, prior, scale, step, width)
        if density is None:
            density, start = own, own_start
        else:
            density, start = _convolve(density, own) * step, start + own_start
    assert density is not None
    # Scaled so that exp never overflows.
    s = start + step * np.arange(len(density))
    weight = density * np.exp(-n_beta * np.exp(np.minimum(s, 60)))
    excess = n_beta * np.exp(np.minimum(s, 60)) * weight
    return float(scipy.integrate.simpson(excess) / scipy.integrate.simpson(weight))


def _convolve(
    a: Float[np.ndarray, " s"], b: Float[np.ndarray, " s_other"]
) -> Float[np.ndarray, " s_both"]:
    """`np.convolve`, in blocks so short that BLAS keeps each product on one thread.

    Its threads wait for one another, and on a busy machine they wait a hundred times
    longer than they work.
    """
    block = 4096
    whole = np.zeros(len(a) + len(b) - 1)
    for start in range(0, len(b), block):
        part = np.convolve(a, b[start : start + block])
        whole[start : start + len(part)] += part
    return whole


def _log_density(
    k: int, h: int, prior: str, scale: float, step: float, width: int
) -> tuple[Float[np.ndarray, " s"], float]:
    """Density of x = 2k ln|w| on a grid, and where the grid begins."""
    # A Gaussian is 0 in double precision where w² = 1500 / scale.
    top = 2 * k * np.log(scale) if prior == "box" else k * np.log(1500 / scale)
    x = top - step * np.arange(width)[::-1] - (step / 2 if prior == "box" else 0)
    with np.errstate(under="ignore"):
        density = np.exp(x * (h + 1) / (2 * k))
        if prior == "gaussian":
            density *= np.exp(-scale * np.exp(x / k) / 2)
    return density, float(x[0])


def _check(
    powers: Sequence[int], prior_powers: Sequence[int] | None
) -> tuple[Sequence[int], Sequence[int]]:
    h = (0,) * len(powers) if prior_powers is None else prior_powers
    if min(powers) < 0 or not any(powers) or len(h) != len(powers) or min(h) < 0:
        raise ValueError(
            "truth.normal_crossing: `powers` are at least 0, not all 0, and as many as "
            f"`prior_powers`; got {tuple(powers)} and {tuple(h)}."
        )
    return powers, h
