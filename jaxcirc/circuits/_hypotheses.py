"""Tests of what a circuit is said to be: as good as the model, and all there is."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Key

from ._binomial import at_most


class Evidence(NamedTuple):
    """What a test of a hypothesis says.

    Args:
        statistic: The number that was looked at.
        p_value: The chance of one at least as far off where the hypothesis holds; a
            small one speaks against it. A large one does not prove it: few pairs tell
            little.
    """

    statistic: Float[Array, ""]
    p_value: Float[Array, ""]


def equivalence(
    circuit: Float[Array, " example"],
    full: Float[Array, " example"],
    *,
    counts: Bool[Array, " example"] | None = None,
    margin: float = 0.1,
) -> Evidence:
    """Test whether a circuit does better than the model as often as worse.

    The hypothesis is that the circuit beats the model on a share of all pairs that is
    within `margin` of one half,

        |P(m(C) > m(N)) - 1/2| ≤ margin.

    A small p-value says that they differ; how much, in units of the objective, is not
    asked (`faithfulness` says that). With w wins of n pairs, the p-value is the chance
    of |K/n - 1/2| ≥ |w/n - 1/2| for K of a binomial distribution with chance 1/2 +
    margin, which is the largest that the hypothesis allows. A tie, as with a circuit of
    all edges, counts as half a win.

    Args:
        circuit: The objective of the circuit for each pair.
        full: That of the model, for the same pairs.
        counts: Which pairs count; all by default.
        margin: What is still equivalent, in [0, 0.5).

    Returns:
        The share of wins, and the p-value; NaN where no pair counts.

    Raises:
        ValueError: `margin` is outside [0, 0.5).

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.circuits import equivalence
        >>> better_on_nine = jnp.ones(10).at[0].set(-1)
        >>> share, p_value = equivalence(better_on_nine, jnp.zeros(10))
        >>> round(float(share), 4), round(float(p_value), 4)
        (0.9, 0.048)

    Shi et al. (2024), "Hypothesis testing the circuit hypothesis in LLMs".
    """
    if not 0 <= margin < 0.5:
        raise ValueError(
            f"equivalence: `margin` is a distance from one half, in [0, 0.5); got "
            f"{margin}."
        )
    counts = jnp.ones(full.shape, bool) if counts is None else counts
    number = counts.sum()
    # Twice the wins, in whole numbers, so that a tie is 1 and nothing is rounded.
    twice = 2 * (counts & (circuit > full)).sum() + (counts & (circuit == full)).sum()
    off = jnp.abs(twice - number)
    low, high = (number - off) // 2, (number + off + 1) // 2
    chance = 0.5 + margin
    outside = at_most(low, number, chance) + at_most(number - high, number, 1 - chance)
    share = twice.astype(jnp.float32) / (2 * number).astype(jnp.float32)
    return Evidence(share, jnp.where(number > 0, jnp.minimum(outside, 1), jnp.nan))


def independence(
    rest: Float[Array, " example"],
    full: Float[Array, " example"],
    *,
    counts: Bool[Array, " example"] | None = None,
    permutations: int = 999,
    key: Key[Array, ""],
) -> Evidence:
    """Test whether what a circuit leaves out knows nothing of how the model does.

    The hypothesis is that over pairs, the objective of the model is independent of that
    of the complement, which is the model with the circuit's edges cut (`run` with
    `~keep`). A small p-value says that the complement still tells on which pairs the
    model does well, so that the circuit is not all there is. The statistic is the
    Hilbert-Schmidt independence criterion,

        Σ_ij A_ij B_ij / (n - 1)²,

    of the centred Gaussian kernels A and B of the two, each as wide as the median of
    the distances that are not 0. The p-value is (1 + #{permuted ≥ observed}) / (1 +
    permutations), pairs of one being permuted, so it is valid for any number of pairs.
    A complement that is the same for all pairs is independent of everything.

    Args:
        rest: The objective of the complement for each pair.
        full: That of the model, for the same pairs.
        counts: Which pairs count; all by default.
        permutations: How many; no p-value is below 1 / (1 + permutations).
        key: Random key of the permutations.

    Returns:
        The criterion, 0 or more, and the p-value.

    Raises:
        ValueError: there are fewer than four pairs.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.circuits import independence
        >>> x = jnp.linspace(-1.0, 1.0, 40)
        >>> knows = independence(x**2, x, key=jr.key(0))
        >>> round(float(knows.p_value), 4)
        0.001

    Shi et al. (2024), "Hypothesis testing the circuit hypothesis in LLMs";
    Gretton et al. (2007), "A kernel statistical test of independence".
    """
    if len(full) < 4:
        raise ValueError(
            f"independence: {len(full)} pairs have too few orders to tell anything; "
            "take at least 4, better 50."
        )
    counts = jnp.ones(full.shape, bool) if counts is None else counts
    return _independence(rest, full, counts, permutations, key)


@eqx.filter_jit
def _independence(rest, full, counts, permutations, key):
    a, b = _centred_kernel(rest, counts), _centred_kernel(full, counts)
    counted_first = jnp.argsort(~counts, stable=True)

    def permuted(key):
        # Pairs that count change places among themselves.
        drawn = jnp.argsort(jnp.where(counts, jr.uniform(key, counts.shape), 2))
        order = jnp.zeros_like(drawn).at[counted_first].set(drawn)
        return (a * b[order][:, order]).sum()

    observed = (a * b).sum()
    others = jax.lax.map(permuted, jr.split(key, permutations), batch_size=50)
    # Equal sums in another order differ in their last digits, and are equal.
    rounding = len(full) * jnp.finfo(a.dtype).eps
    as_large = (others >= observed * (1 - rounding)).sum()
    p_value = (1 + as_large).astype(a.dtype) / (1 + permutations)
    return Evidence(observed / (counts.sum() - 1).astype(a.dtype) ** 2, p_value)


def _centred_kernel(
    x: Float[Array, " example"], counts: Bool[Array, " example"]
) -> Float[Array, "example example"]:
    """A Gaussian kernel without its means; 0 for examples that do not count."""
    both = counts[:, None] & counts[None, :]
    distance = jnp.abs(x[:, None] - x[None, :])
    width = jnp.nanmedian(jnp.where(both & (distance > 0), distance, jnp.nan))
    # Without any distance the kernel is constant, whatever its width.
    width = jnp.where(jnp.isfinite(width), width, 1)
    kernel = jnp.where(both, jnp.exp(-jnp.square(distance / width) / 2), 0)
    number = counts.sum().astype(kernel.dtype)
    rows = kernel.sum(axis=0) / number
    centred = kernel - rows[:, None] - rows[None, :] + rows.sum() / number
    return jnp.where(both, centred, 0)
