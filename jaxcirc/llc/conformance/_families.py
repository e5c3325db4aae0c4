"""Losses whose coefficients are known, stacked so that a family is one program."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .. import truth


class Family(NamedTuple):
    """Losses of one shape with known coefficients, stacked to run as one program.

    Args:
        name: What the table of scores calls the family.
        labels: What it calls each case.
        loss_fn: (weights, a dummy example) -> the loss, exactly, without a sample.
        params: Places w*, stacked along a leading case axis; whole numbers in them say
            which case it is.
        mask: Which weights are sampled; None for all.
        stiffest: Index of the case that a step size must suit.
        n_beta: Inverse temperature times number of examples to sample at.
        gamma: Strength of the localisation.
        truths: What a perfect sampler gives, at this n_beta where that is known, else
            the limit of large n_beta.
        gradients: Gradient evaluations that a chain may spend.
        chains: Chains for each case.
        multiplicities: Where `truths` are limits, the multiplicity of each.
    """

    name: str
    labels: Sequence[str]
    loss_fn: Callable[[Any, Any], Array]
    params: PyTree
    mask: PyTree | None
    stiffest: int
    n_beta: float
    gamma: float
    truths: Sequence[float]
    gradients: int
    chains: int
    multiplicities: Sequence[int] = ()


def quadratics(seed: int = 0, number: int = 8, d: int = 12) -> Family:
    """Quadratic losses with random spectra over three decades, at finite t and γ.

    L(w) = ½ Σ h_i w_i², with ln h_i uniform between ln 1e-3 and 0 and the first h
    always 1, so that one step size suits all of them. Sampled at t = 200 and γ = 1,
    where directions with h below 1/200 are held by the localisation and not by the
    loss. The truth is exact at this t and γ (`truth.quadratic`), between 0 and d/2:
    what a sampler misses is its own bias and noise.

    Args:
        seed: Seed of the spectra.
        number: How many spectra.
        d: Number of weights.

    Example:
        >>> family = quadratics(number=1, d=1)  # h = 1 alone: ½ t / (t + γ)
        >>> round(family.truths[0], 4), round(200 / 201 / 2, 4)
        (0.4975, 0.4975)
    """
    rng = np.random.default_rng(seed)
    h = np.exp(rng.uniform(np.log(1e-3), 0, (number, d)))
    h[:, 0] = 1
    t, gamma = 200.0, 1.0

    def loss(p: PyTree, example: Array) -> Array:
        # The dummy example gives the loss the axis that every loss must have.
        return (jax.lax.stop_gradient(p["h"]) * p["w"] ** 2).sum() / 2 + 0 * example

    return Family(
        "quadratic",
        [f"{d} curvatures, draw {i}" for i in range(number)],
        loss,
        {"w": jnp.zeros((number, d)), "h": jnp.asarray(h, jnp.float32)},
        {"w": True, "h": False},
        0,
        t,
        gamma,
        [truth.quadratic(row, n_beta=t, gamma=gamma) for row in h],
        40_000,
        32,
    )


POWERS = ((0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3))


def normal_crossings() -> Family:
    """Products K = w1^(2 k1) w2^(2 k2) with powers up to 3, singular in two weights.

    The truth of each is t E[K] at t = 4 · 1000 / ln 1000 and γ = 1 by quadrature
    (`truth.normal_crossing_at`), and not the limit λ = 1 / (2 max k), which is far off
    at any t that one can afford where both powers are equal. w* is the origin, where
    the gradient is 0.

    Example:
        >>> family = normal_crossings()
        >>> family.labels[0], round(family.truths[0], 2)  # w2² is regular: 1/2
        ('w1^0 w2^2', 0.5)
    """
    t, gamma = 4 * 1000 / np.log(1000), 1.0

    def loss(p: PyTree, example: Array) -> Array:
        # As a product of squares: powers with a traced exponent have no second
        # derivative at 0.
        square, k = p["w"] ** 2, p["k"]
        factors = [jnp.where(k > i, square, 1) for i in range(3)]
        return jnp.prod(factors[0] * factors[1] * factors[2]) + 0 * example

    n = len(POWERS)
    return Family(
        "normal crossing",
        [f"w1^{2 * a} w2^{2 * b}" for a, b in POWERS],
        loss,
        {"w": jnp.zeros((n, 2)), "k": jnp.asarray(POWERS, jnp.int32)},
        None,
        0,
        t,
        gamma,
        [truth.normal_crossing_at(k, n_beta=t, scale=gamma) for k in POWERS],
        300_000,
        32,
    )


def deep_linear(
    widths: Sequence[int],
    rank: int,
    *,
    seed: int = 0,
    n_beta: float = 3e3,
    gamma: float | None = None,
    gradients: int = 40_000,
    dtype: Any = jnp.float32,
) -> Family:
    """A deep linear network at its most singular minimum, with its population loss.

    For inputs with unit covariance the loss is ½ |W_L ⋯ W_1 - P|². Every layer has the
    rank of P, with singular values in [0.7, 1.3] and images that fit together, so what
    is left over in every layer is 0: there the local coefficient is the least of all
    minima, which is what the theorem gives. At minima with larger weights it is higher.
    The truth is the limit of large n_beta, so an estimate at a finite one lies below
    where the multiplicity is 2 or more.

    Args:
        widths: Widths of input, hidden layers and output.
        rank: Rank of P.
        seed: Seed of the weights.
        n_beta: Inverse temperature times number of examples to sample at.
        gamma: Strength of the localisation; a third of the mean width if None, so that
            the leftover of a layer has a norm of about one.
        gradients: Gradient evaluations that a chain may spend.
        dtype: Type of the weights.

    Raises:
        ValueError: no such network has that rank.

    Example:
        >>> family = deep_linear((5, 3, 5), rank=0)
        >>> family.truths, family.multiplicities
        ([6.5], [2])
    """
    gamma = sum(widths) / len(widths) / 3 if gamma is None else gamma
    rng = np.random.default_rng(seed)
    # Each layer maps the frame of one width onto the next, so none wastes rank.
    frames = [np.linalg.qr(rng.normal(size=(n, n)))[0][:, :rank] for n in widths]
    layers = [
        (b * rng.uniform(0.7, 1.3, rank)) @ a.T
        for a, b in zip(frames, frames[1:], strict=False)
    ]
    target = layers[0]
    for layer in layers[1:]:
        target = layer @ target
    P = jnp.asarray(target, dtype)

    def loss(p: Sequence[Array], example: Array) -> Array:
        product = p[0]
        for layer in p[1:]:
            product = layer @ product
        return ((product - P) ** 2).sum() / 2 + 0 * example

    return Family(
        "reduced rank" if len(widths) == 3 else "deep linear",
        [f"{'-'.join(map(str, widths))}, rank {rank}"],
        loss,
        [jnp.asarray(layer, dtype)[None] for layer in layers],
        None,
        0,
        n_beta,
        gamma,
        [truth.deep_linear(widths, rank).value],
        gradients,
        8,
        [truth.deep_linear(widths, rank).multiplicity],
    )


def random_deep_linear(
    number: int,
    *,
    seed: int = 0,
    layers: tuple[int, int] = (2, 6),
    width: tuple[int, int] = (5, 50),
    **options: Any,
) -> list[Family]:
    """Deep linear networks of random depth, widths and rank, each a family of its own.

    Depths, widths and ranks (at least 1, and at most the smallest width) are drawn
    uniformly. Coefficients differ widely between them, so the rank correlation between
    estimates and truths says whether a sampler orders models of different sizes
    rightly. NumPy draws them: a seed gives the same networks on every version of JAX.

    Args:
        number: How many networks.
        seed: Seed of the draw; network i gets its weights from `seed` + i.
        layers: Least and most layers.
        width: Least and largest width.
        **options: Passed to `deep_linear`.

    Returns:
        A family of one case for each network.

    Example:
        >>> [f.labels[0] for f in random_deep_linear(2, layers=(2, 2), width=(3, 3))]
        ['3-3-3, rank 3', '3-3-3, rank 2']
    """
    rng = np.random.default_rng(seed)
    families = []
    for i in range(number):
        depth = rng.integers(layers[0], layers[1] + 1)
        widths = rng.integers(width[0], width[1] + 1, depth + 1).tolist()
        rank = int(rng.integers(1, min(widths) + 1))
        families.append(deep_linear(widths, rank, seed=seed + i, **options))
    return families
