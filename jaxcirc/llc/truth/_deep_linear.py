"""Deep linear networks."""

from collections.abc import Sequence

from ._coefficient import LearningCoefficient


def deep_linear(widths: Sequence[int], rank: int) -> LearningCoefficient:
    """λ and m of y = W_L ⋯ W_1 x where the true map has rank r.

    Aoyagi (2024), theorem 1. With excesses Δ_i = width_i - r, take the set Σ of the
    ℓ + 1 smallest for which max Σ < min of the others, ΣΔ ≥ ℓ max Σ and
    ΣΔ < ℓ min of the others. With S = ΣΔ over Σ, M = ⌈S / ℓ⌉ and a = S - (M - 1) ℓ:
    λ = (r (width_0 + width_L) - r²) / 2 + a (ℓ - a) / 4ℓ - ℓ (ℓ - 1) / 4 · (S / ℓ)²
    + ½ Σ_{i<j ∈ Σ} Δ_i Δ_j and m = a (ℓ - a) + 1.

    Args:
        widths: Input, hidden layers, output: at least two numbers.
        rank: r.

    Raises:
        ValueError: no such network has that rank.

    Example:
        >>> deep_linear((10, 10, 10), rank=1)
        LearningCoefficient(value=40.0, multiplicity=2)
    """
    if len(widths) < 2 or not 0 <= rank <= min(widths):
        raise ValueError(
            f"truth.deep_linear: needs at least two widths and a `rank` between 0 and "
            f"the smallest; got {tuple(widths)} and {rank}."
        )
    chosen = _chosen([width - rank for width in widths])
    l = len(chosen) - 1
    S = sum(chosen)
    # In whole numbers: M = ⌈S / l⌉ must not suffer from rounding.
    a = S - (-(-S // l) - 1) * l
    pairs = (S**2 - sum(x**2 for x in chosen)) / 2
    value = (rank * (widths[0] + widths[-1]) - rank**2) / 2
    value += a * (l - a) / (4 * l) - l * (l - 1) / 4 * (S / l) ** 2 + pairs / 2
    return LearningCoefficient(value, a * (l - a) + 1)


def _chosen(excess: Sequence[int]) -> list[int]:
    """The theorem's set Σ: excesses of the layers that are narrow enough to bind."""
    ordered = sorted(excess)
    for k in range(2, len(ordered) + 1):
        inside, outside = ordered[:k], ordered[k:]
        total, l = sum(inside), k - 1
        if total < l * inside[-1]:
            continue
        if not outside or (inside[-1] < outside[0] and total < l * outside[0]):
            return inside
    raise AssertionError(f"no set of layers binds: {excess}")
