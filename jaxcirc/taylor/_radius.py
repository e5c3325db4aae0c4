"""How far a series reaches, from its coefficients alone."""

import numpy as np

# Below, the equations have as many unknowns as a series has coefficients.
LOWEST = 4


def radius_of(gram: np.ndarray, eps: float) -> float:
    """The distance to the nearest singularity, from products of the coefficients.

    Near the singularities closest to 0, a pair of conjugates z = R e^{±iθ} (or a real
    one), a function behaves like p(t)^α with p(t) = 1 - a t + b t², a = 2 cos θ / R and
    b = 1/R². From p f' = α p' f follows of its coefficients, for every output alike,

        j c_j = a (j - 1) c_{j-1} - b (j - 2) c_{j-2} - αa c_{j-1} + 2αb c_{j-2},

    which is solved for a, b, αa and αb by least squares over the upper half of the
    orders and all outputs. The radius is the smaller modulus of the roots of p. That
    allows for α, which the root test does not, whose error at order 24 is 2 to 15%.

    Args:
        gram: ⟨c_i, c_j⟩ of all coefficients, in float64.
        eps: Of the type that they were computed in.

    Returns:
        The radius in units of t; infinite for a polynomial, NaN below order 4.

    Reference:
        Chang & Corliss, "Ratio-like and recurrence relation tests for convergence of
        series" (1980), who solve such equations for scalars.
    """
    order = len(gram) - 1
    if order < LOWEST or not np.isfinite(gram).all():
        return float("nan")
    if degree_of(gram, eps) is not None:
        return float("inf")
    norms = np.sqrt(np.diag(gram))
    # In units in which coefficients neither grow nor shrink, all orders weigh alike.
    # Every second one may be zero, so that two of the last are looked at.
    first = 1 + int(np.flatnonzero(norms[1:])[0])
    last = np.arange(max(order - 1, first + 1), order + 1)
    unit = ((norms[last] / norms[first]) ** (1 / (last - first))).max()
    powers = unit ** np.arange(order + 1.0)
    if unit == 0 or not np.isfinite(powers).all():
        return float("nan")
    gram = gram / np.outer(powers, powers)
    normal, right = np.zeros((4, 4)), np.zeros(4)
    # Lower orders still feel singularities that are farther away.
    for j in range(max(2, order // 2), order + 1):
        index = np.array([j - 1, j - 2, j - 1, j - 2])
        scale = np.array([(j - 1) / j, -(j - 2) / j, 1 / j, 1 / j])
        normal += gram[np.ix_(index, index)] * np.outer(scale, scale)
        right += gram[index, j] * scale
    a, b = np.linalg.lstsq(normal, right, rcond=1e-14)[0][:2]
    # A real singularity has b near 0, and then p has one root or a far second one.
    roots = np.roots(np.trim_zeros(np.array([b, -a, 1.0]), "f"))
    return float(np.abs(roots).min() / unit) if len(roots) else float("inf")


def degree_of(gram: np.ndarray, eps: float) -> int | None:
    """The degree, where the last two coefficients at least are lost in rounding.

    One alone may vanish for another reason: every second one does of an odd function.
    Coefficients of anything else become small by degrees; behind the degree d they drop
    at once, to the rounding of c_d times the largest step from one order to the next.

    Args:
        gram: ⟨c_i, c_j⟩ of all coefficients.
        eps: Of the type that they were computed in.

    Returns:
        A degree below the last two orders, or None.
    """
    norms, order = np.sqrt(np.maximum(np.diag(gram), 0)), len(gram) - 1
    if not norms[1:].any():
        return 0
    # The lowest degree that explains all zeros behind it.
    for degree in range(1, order - 1):
        lower = norms[: degree + 1]
        step = (lower[1:] / np.where(lower[:-1] > 0, lower[:-1], np.inf)).max() or 1.0
        beyond = np.arange(1, order - degree + 1)
        lost = norms[degree + 1 :] <= 1e3 * eps * norms[degree] * step**beyond
        if norms[degree] and lost.all():
            return degree
    return None
