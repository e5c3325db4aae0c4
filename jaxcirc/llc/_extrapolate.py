"""The limit of estimates at a few temperatures."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float

# Different temperatures from which on the next term is fitted as well.
ENOUGH = 4
# Typical size of c in (m - 1) / (ln t + c): 2.2 for w₁²w₂², 7.5 for w₁⁶w₂⁶.
SHIFT = 5.0
# A fit as bad as this by chance alone is not believed.
MIN_P = 1e-3


class Limit(NamedTuple):
    """λ̂(t) = value - slope / ln t + rest / t, fitted.

    Attributes:
        value: λ, in the limit of large t.
        standard_error: Standard error of `value`, from that of the estimates and from
            what is not known of the next term.
        slope: An estimate of m - 1, the multiplicity less one, where the fit's next
            term, o(1 / ln t), has died out; never negative.
        slope_error: Standard error of `slope`, as if it could be negative.
        rest: What is in proportion to 1 / t, such as the localisation's pull on a
            regular minimum; 0 with fewer than four temperatures.
        chi_squared: Sum of the squared misfits, in standard errors.
        degrees: Temperatures more than numbers that were fitted: about what
            `chi_squared` should be.
    """

    value: float
    standard_error: float
    slope: float
    slope_error: float
    rest: float
    chi_squared: float
    degrees: int


def extrapolate(
    n_betas: Sequence[float] | Float[np.ndarray, " t"],
    values: Sequence[float] | Float[np.ndarray, " t"],
    standard_errors: Sequence[float] | Float[np.ndarray, " t"],
) -> Limit:
    """The learning coefficient in the limit t → ∞, from estimates at several t.

    Where a minimum has multiplicity m > 1 an estimate at a finite t is too small, by
    t E[K] = λ - (m - 1) / ln t + o(1 / ln t) (Watanabe 2013), and γ pulls on a regular
    minimum in proportion to 1 / t. Both terms are fitted by least squares with weights
    1 / error², m being at least 1; the second only to four temperatures or more. What
    comes next, (m - 1) c / ln² t, is part of the errors: c is taken for about 5. A fit
    that other terms spoil is refused.

    Args:
        n_betas: t of each estimate, above 1, at least two different ones.
        values: The estimate at each t, converged.
        standard_errors: The standard error of each estimate, positive.

    Returns:
        The limit, the terms that were fitted, and how well they fit.

    Raises:
        ValueError: there are fewer than two temperatures, a number is not finite or out
            of range, or the estimates lie on no such curve (p below 0.001).

    Example:
        >>> limit = extrapolate([1e2, 1e4], [0.2829, 0.3914], [1e-3, 1e-3])
        >>> round(limit.value, 3), round(limit.slope, 2)
        (0.5, 1.0)
    """
    t, y, e = (np.asarray(x, np.float64) for x in (n_betas, values, standard_errors))
    different = len(np.unique(t))
    usable = np.isfinite([t, y, e]).all() and t.min() > 1 and (e > 0).all()
    if different < 2 or not usable:
        raise ValueError(
            "llc.extrapolate: needs finite estimates at two or more different "
            "`n_betas` above 1, with positive errors; got "
            f"{t.tolist()}, {y.tolist()} and {e.tolist()}."
        )
    terms = [np.ones_like(t), -1 / np.log(t)]
    terms += [1 / t] if different >= ENOUGH else []
    design, goal = np.stack(terms, axis=1) / e[:, None], y / e
    degrees = len(t) - len(terms)
    first = _fit(design, goal)
    # (m - 1) / (ln t + c), to first order in c, of which only its size is known.
    next_term = first[1] / np.log(t) ** 2 / e
    design = np.block(
        [
            [design, next_term[:, None]],
            [np.zeros(len(terms)), 1 / SHIFT],
        ]
    )
    goal = np.append(goal, 0.0)
    found = _fit(design, goal)
    chi_squared = float(((design @ found - goal) ** 2).sum())
    if degrees > 0 and scipy.stats.chi2.sf(chi_squared, degrees) < MIN_P:
        raise ValueError(
            f"llc.extrapolate: the estimates {y.tolist()} at {t.tolist()} lie on no "
            f"curve λ - (m - 1) / ln t with m of at least 1; the misfit is "
            f"{chi_squared:.3g} squared standard errors, for {degrees} degrees of "
            "freedom. Leave out the smallest `n_betas`, and what is not converged."
        )
    # A slope at its bound is no longer free, and λ is known the better for it.
    free = [i for i in range(design.shape[1]) if i != 1 or found[1] > 0]
    return Limit(
        float(found[0]),
        float(_errors(design[:, free])[0]),
        float(found[1]),
        float(_errors(design)[1]),
        float(found[2]) if len(terms) > 2 else 0.0,
        chi_squared,
        degrees,
    )


def _fit(design: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Least squares with a slope that is not negative."""
    lower = np.full(design.shape[1], -np.inf)
    lower[1] = 0.0
    return scipy.optimize.lsq_linear(design, goal, (lower, np.inf), method="bvls").x


def _errors(design: Float[np.ndarray, "t term"]) -> Float[np.ndarray, " term"]:
    """Standard errors of a least-squares fit to numbers of unit variance."""
    return np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
