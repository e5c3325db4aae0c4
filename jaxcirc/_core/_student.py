"""Student's t, for intervals of means."""

import jax
from jaxtyping import Array


def student(freedom: Array, level: float) -> Array:
    """The two-sided quantile of Student's t, by its expansion around the normal one.

    Cornish and Fisher (1938), to the third order: 0.2% off at four degrees of freedom.

    Args:
        freedom: Degrees of freedom, the number of draws less 1.
        level: Probability that the interval holds the mean.
    """
    z = jax.scipy.stats.norm.ppf((1 + level) / 2)
    f = freedom
    first = (z**3 + z) / (4 * f)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * f**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * f**3)
    return z + first + second + third
