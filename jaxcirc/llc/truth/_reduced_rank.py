"""Reduced-rank regression: a linear network with one hidden layer."""

from ._coefficient import LearningCoefficient


def reduced_rank(
    inputs: int, hidden: int, outputs: int, rank: int
) -> LearningCoefficient:
    """λ and m of y = B A x, A: hidden × inputs, B: outputs × hidden, of true rank r.

    Aoyagi & Watanabe (2005), theorem 1. With M inputs, N outputs, H hidden units: if
    N + r ≤ M + H, M + r ≤ N + H and H + r ≤ M + N,
    λ = (-(H + r)² - M² - N² + 2 (H + r)(M + N) + 2 M N + δ) / 8, with δ = 0, m = 1 for
    even M + N + H + r and δ = 1, m = 2 for odd. Otherwise m = 1 and λ is
    (H M - H r + N r) / 2 if M + H < N + r, (H N - H r + M r) / 2 if N + H < M + r, and
    M N / 2 if M + N < H + r.

    Args:
        inputs: M.
        hidden: H.
        outputs: N.
        rank: r, of the true map.

    Raises:
        ValueError: no such network has that rank.

    Example:
        >>> reduced_rank(5, 3, 5, rank=0)
        LearningCoefficient(value=6.5, multiplicity=2)
    """
    M, H, N, r = inputs, hidden, outputs, rank
    if not 0 <= r <= min(M, H, N) or min(M, H, N) < 1:
        raise ValueError(
            f"truth.reduced_rank: `rank` is between 0 and the narrowest layer, "
            f"{min(M, H, N)}; got {r}."
        )
    if N + r > M + H:
        return LearningCoefficient((H * M - H * r + N * r) / 2, 1)
    if M + r > N + H:
        return LearningCoefficient((H * N - H * r + M * r) / 2, 1)
    if H + r > M + N:
        return LearningCoefficient(M * N / 2, 1)
    odd = (M + N + H + r) % 2
    eighths = -((H + r) ** 2) - M**2 - N**2 + 2 * (H + r) * (M + N) + 2 * M * N + odd
    return LearningCoefficient(eighths / 8, 1 + odd)
