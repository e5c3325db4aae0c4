"""The limit of estimates at a few temperatures."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Limit(NamedTuple):
    """The line λ̂(t) = value - slope / ln t that estimates at several t lie on.

    Attributes:
        value: λ, the limit of large t.
        standard_error: Standard error of `value`, from that of the estimates.
        slope: An estimate of m - 1, the multiplicity less one, where the fit's next
            term, o(1 / ln t), has died out.
        slope_error: Standard error of `slope`.
    """

    value: float
    standard_error: float
    slope: float
    slope_error: float


def extrapolate(
    n_betas: Sequence[float] | Float[np.ndarray, " t"],
    values: Sequence[float] | Float[np.ndarray, " t"],
    standard_errors: Sequence[float] | Float[np.ndarray, " t"],
) -> Limit:
    """The learning coefficient in the limit t → ∞, from estimates at several t.

    Where a minimum has multiplicity m > 1 an estimate at a finite t is too small, by
    t E[K] = λ - (m - 1) / ln t + o(1 / ln t) (Watanabe 2013). The line in 1 / ln t is
    fitted by least squares with weights 1 / error². The errors of the result are those
    of sampling alone: they do not know how far the next term reaches, so let the
    smallest t be one at which the estimate is on the line.

    Args:
        n_betas: t of each estimate, above 1, at least two different ones.
        values: The estimate at each t.
        standard_errors: The standard error of each estimate, positive.

    Returns:
        Intercept and slope of the line, each with its standard error.

    Raises:
        ValueError: there are fewer than two temperatures, or a number is out of range.

    Example:
        >>> limit = extrapolate([1e2, 1e4], [0.2829, 0.3914], [1e-3, 1e-3])
        >>> round(limit.value, 3), round(limit.slope, 2)
        (0.5, 1.0)
    """
    t, y, e = (np.asarray(x, np.float64) for x in (n_betas, values, standard_errors))
    if len(np.unique(t)) < 2 or t.min() <= 1 or not (e > 0).all():
        raise ValueError(
            "llc.extrapolate: needs estimates at two or more different `n_betas` above "
            f"1, with positive errors; got {list(t)} and {list(e)}."
        )
    design = np.stack([np.ones_like(t), -1 / np.log(t)], axis=1)
    weighted = design / e[:, None]
    covariance = np.linalg.inv(weighted.T @ weighted)
    value, slope = covariance @ weighted.T @ (y / e)
    errors = np.sqrt(np.diag(covariance))
    return Limit(float(value), float(errors[0]), float(slope), float(errors[1]))
