"""A learning coefficient and its multiplicity."""

from typing import NamedTuple


class LearningCoefficient(NamedTuple):
    """λ and m in the volume of nearly perfect weights, V(ε) ~ ε^λ (-ln ε)^(m-1).

    The free energy is n L(w*) + λ ln n - (m - 1) ln ln n + O(1), and at inverse
    temperature t the sampled excess t E[K] is λ - (m - 1) / ln t + o(1 / ln t)
    (Watanabe 2009): where m is 2, λ is far off at any t that one can afford.

    Attributes:
        value: λ, also called the real log canonical threshold.
        multiplicity: m, at least 1.
    """

    value: float
    multiplicity: int
