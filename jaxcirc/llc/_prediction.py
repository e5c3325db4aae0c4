"""What a chain would find on a quadratic with the measured spectrum."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ._curvature import Curvature
from ._sampler import AbstractSampler

# A smaller share of the largest curvature is not told from none in single precision.
FLAT = 1e-5


class Prediction(NamedTuple):
    """What settings give on a quadratic with the spectrum that pilots have measured.

    A singular minimum is no quadratic: there these are numbers to compare settings by,
    and a grid of estimates has the last word.

    Attributes:
        quadratic_value: λ(t, γ) = ½ Σ t h_i / (t h_i + γ), what a perfect sampler has
            at the proposed `n_beta` and `gamma`. In [0, d/2].
        discretization: Relative error that step size and minibatch noise add; 0 for a
            sampler that tests its steps.
        localization: Share of the value that `gamma` takes away, 1 - λ(t, γ) / λ(t, 0),
            of the directions that are curved at all. In [0, 1].
        shortfall: Share of the value that is missing from the mean of the draws, since
            chains begin at w* and slow directions have not spread yet. In [0, 1].
    """

    quadratic_value: float
    discretization: float
    localization: float
    shortfall: float


def predict(
    found: Curvature, sampler: AbstractSampler, num_burnin: int, num_draws: int
) -> Prediction:
    """What a sampler with its numbers gives on a quadratic with a measured spectrum.

    Args:
        found: Spectrum and gradient noise.
        sampler: A sampler with its `n_beta` and `gamma`.
        num_burnin: Steps before the draws.
        num_draws: Steps that the draws are the mean of.
    """
    numbers = sampler.numbers()
    n_beta, gamma = numbers["n_beta"], numbers["gamma"]
    # The formula is SGLD's, whose step size is the square of a time step.
    squared = numbers["step_size"] ** (2 if sampler.has_momentum else 1)
    return Prediction(
        found.value(n_beta, gamma),
        0.0 if sampler.full_batch else found.bias(squared, n_beta, gamma),
        localization(found, n_beta, gamma),
        shortfall(found, sampler, num_burnin, num_draws),
    )


def localization(found: Curvature, n_beta: float, gamma: float) -> float:
    """Share of λ that the localisation takes away, of what is curved at all.

    Directions with less than 1e-5 of the largest curvature count as flat: no chain
    tells them from flat ones, and without localisation they would never be sampled.

    Args:
        found: The spectrum.
        n_beta: Inverse temperature times number of examples.
        gamma: Strength of the localisation.
    """
    h, weights = found.plain
    curved = h > FLAT * max(float(h.max()), 0.0)
    whole = float(weights[curved].sum())
    left = float((weights * n_beta * h / (n_beta * h + gamma))[curved].sum())
    return 1 - left / whole if whole > 0 else 0.0


def shortfall(
    found: Curvature, sampler: AbstractSampler, num_burnin: int, num_draws: int
) -> float:
    """Share of λ that the mean of the draws lacks when chains begin at w*.

    The variance of a direction of stiffness s is short of its own by the factor r(s)
    after each step (`AbstractSampler.retained`), and λ is the mean over directions,
    weighted by t h / (t h + γ).

    Args:
        found: The spectrum, in the sampler's metric.
        sampler: A sampler with its numbers.
        num_burnin: Steps before the draws.
        num_draws: Steps that the draws are the mean of.
    """
    numbers = sampler.numbers()
    h, pull = np.maximum(found.nodes, 0), numbers["gamma"] * found.metric[0]
    stiffness = numbers["n_beta"] * h + pull
    own = found.weights * numbers["n_beta"] * h / np.maximum(stiffness, 1e-30)
    kept = np.clip(sampler.retained(stiffness), 0.0, 1.0)
    missing = float((own * _mean_power(kept, num_burnin, num_draws)).sum())
    return missing / float(own.sum()) if own.sum() > 0 else 0.0


def burnin_needed(
    found: Curvature, sampler: AbstractSampler, most_missing: float
) -> int | None:
    """Steps, to a factor of two, after which no more of λ than that is missing.

    Args:
        found: The spectrum, in the sampler's metric.
        sampler: A sampler with its numbers.
        most_missing: Share of λ that may be missing.

    Returns:
        A power of two; None if 2**40 steps are not enough.
    """
    for power in range(41):
        if shortfall(found, sampler, 2**power, 1) <= most_missing:
            return 2**power
    return None


def _mean_power(
    kept: Float[np.ndarray, " node"], begin: int, count: int
) -> Float[np.ndarray, " node"]:
    """Mean of kept**n over n = begin, ..., begin + count - 1."""
    log = np.log(np.clip(kept, 1e-300, 1.0))
    # The geometric series; `expm1` keeps the digits of what hardly relaxes.
    whole = np.where(log < 0, np.expm1(count * log), count)
    return np.exp(begin * log) * whole / (np.where(log < 0, np.expm1(log), 1) * count)
