"""Tails of the binomial distribution, where the number of trials may be traced."""

import jax.numpy as jnp
from jax.scipy.special import betainc
from jaxtyping import Array, Float, Int


def at_most(
    k: Int[Array, "*shape"], n: Int[Array, ""], p: float
) -> Float[Array, "*shape"]:
    """P(K ≤ k) for K of a binomial distribution: of n trials, each 1 at chance p.

    Args:
        k: How many at most; 0 or more.
        n: Trials.
        p: Chance of each, in (0, 1).
    """
    below = k < n
    # The tail is a regularised incomplete beta function, whose first parameter is
    # positive; where it would not be, every outcome is included.
    first = jnp.where(below, n - k, 1).astype(jnp.float32)
    chance = jnp.full(k.shape, 1 - p, jnp.float32)
    return jnp.where(below, betainc(first, k.astype(jnp.float32) + 1, chance), 1.0)
