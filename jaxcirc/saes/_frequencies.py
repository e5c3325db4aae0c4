"""How often planted features fire: Zipf's law with a given number at a time."""

import numpy as np


def zipf(weights: np.ndarray, exponent: float, l0: float, most: float) -> np.ndarray:
    """Probabilities c · rank^-exponent, at most `most`, whose weighted sum is `l0`.

    Args:
        weights: How many features fire, in the mean, where the one of this rank does:
            1 for itself, and more for one that brings others along.
        exponent: Of the law; 0 for features that are all as frequent.
        l0: What Σ weight · probability comes to.
        most: No probability is higher.

    Raises:
        ValueError: `l0` is out of reach even if all features are as frequent as they
            may be.
    """
    if not 0 < l0 <= most * weights.sum():
        raise ValueError(
            f"planted: `l0` must be above 0 and at most {most * weights.sum():.4g}, "
            f"where every feature fires with probability {most}; got {l0}."
        )
    shape = np.arange(1, len(weights) + 1, dtype=np.float64) ** -exponent
    low, high = 0.0, most / shape.min()
    # The sum rises with c, in pieces; halving finds it to the last digit.
    for _ in range(200):
        middle = (low + high) / 2
        reached = (weights * np.minimum(middle * shape, most)).sum()
        low, high = (low, middle) if reached > l0 else (middle, high)
    return np.minimum(high * shape, most)


def joint(p: np.ndarray, q: np.ndarray, correlation: float) -> np.ndarray:
    """The probability that both fire, for two of probabilities `p` and `q`.

    Args:
        p: Probabilities of the first ones.
        q: Probabilities of the second ones.
        correlation: Pearson's, of whether they fire.

    Raises:
        ValueError: no two events of these probabilities are correlated so much.
    """
    both = p * q + correlation * np.sqrt(p * (1 - p) * q * (1 - q))
    least, most = np.maximum(0, p + q - 1), np.minimum(p, q)
    if (both > most).any() or (both < least).any():
        spread = np.sqrt(p * (1 - p) * q * (1 - q))
        low = ((least - p * q) / spread).max()
        high = ((most - p * q) / spread).min()
        raise ValueError(
            f"planted: features as frequent as these can be correlated from {low:.3f} "
            f"to {high:.3f}; got {correlation}. Take a flatter `exponent` or fewer "
            "pairs."
        )
    return both
