"""Heavy tails of a weight's spectrum: the exponent and how well it fits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import ratio
from ._singular_values import singular_values
from ._spec import Known, MetricSpec

# Fewer eigenvalues than this say nothing about a tail.
LEAST_TAIL = 8
TAILS_AT_ONCE = 64


class HeavyTail(NamedTuple):
    """A power law fitted to the largest of some positive numbers.

    Args:
        alpha: Exponent of the density, above 1; between 2 and 4 in well-trained layers
            (Martin & Mahoney 2021), 6 and more where the tail is not heavy.
        ks: Largest distance between the tail's distribution and the fit, in [0, 1].
        tail_size: How many numbers the fit is of.
        smallest: The number from which on it holds.
    """

    alpha: Float[Array, ""]
    ks: Float[Array, ""]
    tail_size: Float[Array, ""]
    smallest: Float[Array, ""]


@jax.jit
def heavy_tail(values: Float[Array, " value"]) -> HeavyTail:
    """The power law p(v) ∝ v^-alpha of the largest values, by maximum likelihood.

    alpha = 1 + k / Σ ln(v / v_min) over the k values from v_min on, with the v_min at
    which the Kolmogorov-Smirnov distance is smallest (Clauset, Shalizi & Newman 2009,
    eqs. 3.1 and 3.9). Unchanged by scale. NaN with fewer than 8 positive values.

    Args:
        values: Eigenvalues of a covariance, or any sample; those that are not positive
            are left out.

    Returns:
        The exponent, how badly it fits, and the tail that it is of.

    Example:
        >>> import jax.numpy as jnp
        >>> quantiles = ((jnp.arange(50.0) + 0.5) / 50) ** (-1 / 2)  # of 2 v^-3
        >>> found = heavy_tail(quantiles)
        >>> round(float(found.alpha), 1), float(found.tail_size)
        (3.0, 50.0)
    """
    v = jnp.sort(values)[::-1]
    positive = v > 0
    log_v = jnp.log(jnp.where(positive, v, 1))
    k = jnp.arange(1, len(v) + 1, dtype=v.dtype)
    # With the k largest: Σ ln(v_i / v_k), and v_k itself contributes 0.
    excess = jnp.cumsum(log_v) - k * log_v
    alpha = 1 + k / jnp.where(excess > 0, excess, 1)

    def distance(tail: tuple[Array, Array, Array]) -> Array:
        """The largest gap between the share of `size` values above one and its fit."""
        size, exponent, smallest = tail
        # k is the place of a value: as many are at least as large.
        survival = jnp.exp(-(exponent - 1) * (log_v - smallest))
        above, at = (k - 1) / size, k / size
        gap = jnp.maximum(jnp.abs(survival - above), jnp.abs(survival - at))
        return jnp.where(k <= size, gap, 0).max()

    # A table of all tails would take n² memory.
    ks = jax.lax.map(distance, (k, alpha, log_v), batch_size=TAILS_AT_ONCE)
    usable = positive & (excess > 0) & (k >= LEAST_TAIL)
    best = jnp.argmin(jnp.where(usable, ks, jnp.inf))
    some = usable.any()

    def pick(x: Array) -> Array:
        return jnp.where(some, x[best], jnp.nan)

    return HeavyTail(pick(alpha), pick(ks), pick(k), pick(v))


@jax.jit
def heavy_tail_alpha(x: Float[Array, "row column"]) -> Float[Array, ""]:
    """Power-law exponent of the largest eigenvalues of xᵀx (Martin & Mahoney 2021).

    Above 1; see `heavy_tail` for the fit, and `heavy_tail_ks` for how good it is.
    Unchanged by rotation, scale and transposition; NaN with fewer than 8 eigenvalues
    that are not zero. With a few dozen of them it is uncertain by about alpha - 1 over
    the root of the tail's size.

    Args:
        x: The matrix; its singular values are squared.

    Example:
        >>> import jax.numpy as jnp
        >>> quantiles = ((jnp.arange(50.0) + 0.5) / 50) ** (-1 / 2)  # of 2 v^-3
        >>> round(float(heavy_tail_alpha(jnp.diag(jnp.sqrt(quantiles)))), 1)
        3.0
    """
    return _of_spectrum(singular_values(x)).alpha


@jax.jit
def heavy_tail_ks(x: Float[Array, "row column"]) -> Float[Array, ""]:
    """How badly a power law fits the largest eigenvalues of xᵀx, in [0, 1].

    The Kolmogorov-Smirnov distance of the fit that `heavy_tail_alpha` reports. A
    spectrum without heavy tail, such as that of independent normal entries, has an
    alpha far above 6 or a tail of few values. NaN with fewer than 8 eigenvalues that
    are not zero.

    Args:
        x: The matrix; its singular values are squared.

    Example:
        >>> import jax.numpy as jnp
        >>> quantiles = ((jnp.arange(50.0) + 0.5) / 50) ** (-1 / 2)  # of 2 v^-3
        >>> round(float(heavy_tail_ks(jnp.diag(jnp.sqrt(quantiles)))), 2)  # 1 / 50
        0.02
    """
    return _of_spectrum(singular_values(x)).ks


def _of_spectrum(s: Array) -> HeavyTail:
    """The fit to the eigenvalues s² that are more than rounding, over the largest."""
    relative = ratio(s, jnp.broadcast_to(s[0], s.shape), empty=0.0)
    rounding = len(s) * float(jnp.finfo(s.dtype).eps)
    return heavy_tail(jnp.where(relative <= rounding, 0, jnp.square(relative)))


def _diagonal_pareto() -> Array:
    # Quantiles of the density 2 v^-3, whose exponent is 3.
    u = (jnp.arange(400.0) + 0.5) / 400
    return jnp.diag(u ** (-1 / 4))


_SHARED = {
    "kind": "spectrum",
    "paper": "Martin & Mahoney 2021; Clauset et al. 2009",
    "invariant_to": frozenset({"scale", "rotation", "transpose"}),
    "data": ("weights", "gradients"),
}
SPEC = MetricSpec(
    name="heavy_tail_alpha",
    summary="power-law exponent of the largest eigenvalues",
    fn=heavy_tail_alpha,
    bounds=(1.0, None),
    units="",
    known=(Known(lambda: (_diagonal_pareto(),), 3.0, 0.02),),
    of_spectrum=lambda s: _of_spectrum(s).alpha,
    **_SHARED,
    at_zero=float("nan"),
)
KS = MetricSpec(
    name="heavy_tail_ks",
    summary="how badly that power law fits",
    fn=heavy_tail_ks,
    bounds=(0.0, 1.0),
    units="",
    of_spectrum=lambda s: _of_spectrum(s).ks,
    **_SHARED,
    at_zero=float("nan"),
    smooth=False,
)
