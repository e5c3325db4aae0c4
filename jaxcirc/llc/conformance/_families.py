"""Losses whose coefficients are known, stacked so that a family is one program."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .. import truth


class Family(NamedTuple):
    """Losses of one shape whose coefficients are known, for one program.

    Args:
        name: Name of the family.
        labels: Names of the cases.
        loss_fn: (weights, a dummy example) -> the loss, exactly, without a sample.
        params: Places w*, stacked; whole numbers in them say which case it is.
        mask: Which of the arrays are weights to sample; None for all.
        stiffest: The case that a step size must suit.
        n_beta: The inverse temperature, times n, to sample at.
        gamma: Strength of the localisation.
        truths: What a perfect sampler gives, at this n_beta where that is known, else
            the limit.
        gradients: Gradients that a chain may spend.
        chains: Chains for each case.
        multiplicities: Where `truths` are limits, those of their coefficients.
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

    Σ h w² / 2, whose largest curvature is 1. The truth is the coefficient at this
    n_beta and gamma, ½ Σ t h / (t h + γ), which is below d / 2 where directions are so
    flat that the localisation holds them.

    Args:
        seed: Seed of the spectra.
        number: Cases.
        d: Weights of each.

    Returns:
        One case for each spectrum, sampled at n_beta = 200 and gamma = 1.

    Example:
        >>> from jaxcirc.llc import conformance
        >>> family = conformance.quadratics(number=1, d=1)
        >>> round(family.truths[0], 4)  # 200 / 201 / 2
        0.4975
    """
    rng = np.random.default_rng(seed)
    h = np.exp(rng.uniform(np.log(1e-3), 0, (number, d)))
    h[:, 0] = 1
    t, gamma = 200.0, 1.0

    def loss(p: PyTree, example: Array) -> Array:
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
    """Normal crossings K = w1^(2 k1) w2^(2 k2), to which any singularity resolves.

    Nine pairs of powers up to 3. The truths are t E[K] at this t and γ by quadrature,
    not the limit λ = min 1 / (2 k): that is reached only as 1 / ln t.

    Returns:
        One case for each pair of powers, sampled at n_beta = 4 · 1000 / ln 1000 and
        gamma = 1.

    Example:
        >>> from jaxcirc.llc import conformance
        >>> family = conformance.normal_crossings()
        >>> family.labels[3], len(family.truths)
        ('w1^2 w2^2', 9)
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

    Args:
        widths: Input, hidden layers, output.
        rank: Rank of P.
        seed: Seed of the weights.
        n_beta: The inverse temperature, times n, to sample at.
        gamma: To localise with; a third of the mean width if None, so that the leftover
            of a layer has a norm of about one.
        gradients: Gradients that a chain may spend.
        dtype: Type of the weights.

    Returns:
        A family of one case, whose truth is that of `truth.deep_linear` (Aoyagi 2024).

    Example:
        >>> from jaxcirc.llc import conformance
        >>> regular = conformance.deep_linear((2, 2, 2), 2)  # 4 entries of the product
        >>> regular.labels, regular.truths
        (['2-2-2, rank 2'], [2.0])
    """
    gamma = sum(widths) / len(widths) / 3 if gamma is None else gamma
    rng = np.random.default_rng(seed)
    # The image of one layer is where the next one starts, so nothing is left over.
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

    All sizes are uniform within their bounds, the rank between 1 and the least width.

    Args:
        number: Number of networks.
        seed: Seed of the draw.
        layers: Least and most layers.
        width: Least and largest width.
        **options: As in `deep_linear`.

    Example:
        >>> from jaxcirc.llc import conformance
        >>> found = conformance.random_deep_linear(2, layers=(2, 2), width=(3, 3))
        >>> [family.labels[0][:5] for family in found]
        ['3-3-3', '3-3-3']
    """
    rng = np.random.default_rng(seed)
    families = []
    for i in range(number):
        depth = rng.integers(layers[0], layers[1] + 1)
        widths = rng.integers(width[0], width[1] + 1, depth + 1).tolist()
        rank = int(rng.integers(1, min(widths) + 1))
        families.append(deep_linear(widths, rank, seed=seed + i, **options))
    return families
