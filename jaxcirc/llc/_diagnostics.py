"""Has a set of chains converged, and how well do they know their mean?

In NumPy and float64: traces are small, and what they are compared with uses both.
"""

import numpy as np
import scipy
from jaxtyping import Float

Draws = Float[np.ndarray, "chain draw"]


def split_rhat(draws: Draws) -> float:
    """How much wider all half-chains together are than each: 1 when they agree.

    Rank-normalised, the larger of that of the draws and of their distance from the
    median (Vehtari et al. 2021, §3). In [1, inf) up to noise; NaN with fewer than four
    draws per chain, or if nothing varies.

    Args:
        draws: Draws of one quantity.
    """
    if draws.shape[1] < 4 or not np.isfinite(draws).all():
        return float("nan")
    halves = _split(draws)
    folded = np.abs(halves - np.median(halves))
    return float(max(_rhat(_rank_normalize(halves)), _rhat(_rank_normalize(folded))))


def bulk_ess(draws: Draws) -> float:
    """Independent draws that would locate the bulk of the distribution as well.

    Computed from rank-normalised half-chains (Vehtari et al. 2021, §4). NaN with fewer
    than four draws per chain, or where one of them is not finite.

    Args:
        draws: Draws of one quantity.
    """
    if draws.shape[1] < 4 or not np.isfinite(draws).all():
        return float("nan")
    return _ess(_rank_normalize(_split(draws)))


def mean_ess(draws: Draws) -> float:
    """Independent draws whose mean would have the same variance as that of `draws`.

    NaN with fewer than four draws per chain, or where one of them is not finite.

    Args:
        draws: Draws of one quantity.
    """
    if draws.shape[1] < 4 or not np.isfinite(draws).all():
        return float("nan")
    return _ess(_split(draws))


def standard_error(draws: Draws) -> float:
    """Standard error of the mean over all draws, from their autocorrelation time.

    The variance is that of all chains together, so chains that disagree widen it. NaN
    with fewer than four draws per chain.

    Args:
        draws: Draws of one quantity.
    """
    ess = mean_ess(draws)
    return float("nan") if np.isnan(ess) else float(draws.std(ddof=1) / np.sqrt(ess))


def error_of_mean(draws: Draws, distance: Draws) -> float:
    """Standard error of the mean, where the chains' distance from w* is slow.

    On a singular minimum a loss forgets its value within steps, and where on the arm it
    was taken only when the chain has come back along it: a small part of the variance
    with nearly all of the autocorrelation, which is lost in the noise of the rest. So
    the draws are divided into what a line in ln distance explains and the rest, and
    each has the error of its own autocorrelation time (`standard_error`). NaN with
    fewer than four draws per chain.

    Args:
        draws: Draws of one quantity.
        distance: From w*, at the same draws, in any units.
    """
    moved = distance > 0
    if not moved.any():
        return standard_error(draws)
    # A chain that is exactly at w* is as near as any has been elsewhere.
    slow = np.log(np.maximum(distance, distance[moved].min()))
    centered, slow = draws - draws.mean(), slow - slow.mean()
    square = (slow**2).sum()
    slope = (centered * slow).sum() / square if square > 0 else 0.0
    part = slope * slow
    return float(np.hypot(standard_error(part), standard_error(centered - part)))


def tail_ess(draws: Draws) -> float:
    """Independent draws that would locate the 5% and 95% quantiles as well.

    The smaller of the effective sizes of being below the one and below the other
    (Vehtari et al. 2021, §4.3). NaN with fewer than four draws per chain, or where one
    of them is not finite.

    Args:
        draws: Draws of one quantity.
    """
    if draws.shape[1] < 4 or not np.isfinite(draws).all():
        return float("nan")
    low, high = np.quantile(draws, [0.05, 0.95])
    return min(mean_ess((draws <= x).astype(float)) for x in (low, high))


def rise_per_doubling(whole: Draws, error_of_one: float) -> tuple[float, float]:
    """How much the mean rises while the time of the chains doubles, and its error.

    The mean of the second half less that of the quarter before it, which is around half
    the time. What relaxes along many directions does so on a logarithmic clock: a mean
    that has another rate at every doubling still has as much to rise.

    Args:
        whole: Draws of one quantity from the first step on, burn-in included.
        error_of_one: Standard error of a mean of draws, times the root of their number.

    Returns:
        The rise, and its standard error. NaN with fewer than four draws per chain.
    """
    chains, n = whole.shape
    if n < 4:
        return float("nan"), float("nan")
    early, late = whole[:, n // 4 : n // 2], whole[:, n // 2 :]
    error = error_of_one * np.sqrt(1 / early.size + 1 / late.size)
    return float(late.mean() - early.mean()), float(error)


def geweke_z(
    draws: Draws, first: float = 0.1, last: float = 0.5
) -> Float[np.ndarray, " chain"]:
    """How far the beginning of each chain is from its end, in standard errors.

    Geweke (1992). The variance of both means is that of the end about its own trend,
    with the autocorrelation time there: a drift would inflate either and hide itself.
    Standard normal for a stationary chain, up to the noise of that time.

    Args:
        draws: Draws of one quantity.
        first: Share of the draws that counts as the beginning.
        last: Share of the draws that counts as the end.
    """
    n = draws.shape[1]
    head, tail = draws[:, : max(int(first * n), 1)], draws[:, n - int(last * n) :]
    if tail.shape[1] < 4:
        return np.full(len(draws), np.nan)
    z = []
    for a, b in zip(head, tail, strict=True):
        about = b - np.polyval(np.polyfit(np.arange(len(b)), b, 1), np.arange(len(b)))
        time = len(b) / _ess(about[None])
        variance = about.var(ddof=1) * time * (1 / len(a) + 1 / len(b))
        gap = a.mean() - b.mean()
        # A chain that never moves begins where it ends.
        z.append(gap / np.sqrt(variance) if variance > 0 else gap and np.inf)
    return np.asarray(z)


def _split(draws: Draws) -> Float[np.ndarray, "half half_draw"]:
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _rank_normalize(draws: Draws) -> Draws:
    rank = scipy.stats.rankdata(draws, method="average").reshape(draws.shape)
    return scipy.special.ndtri((rank - 0.375) / (draws.size + 0.25))


def _rhat(draws: Draws) -> float:
    n = draws.shape[1]
    within = draws.var(axis=1, ddof=1).mean()
    between = n * draws.mean(axis=1).var(ddof=1)
    if within == 0:
        return float("nan")
    return float(np.sqrt(((n - 1) * within + between) / (n * within)))


def _ess(draws: Draws) -> float:
    """Effective sample size by Geyer's initial monotone sequence (Stan's rules)."""
    chains, n = draws.shape
    # Relative to the draws: small numbers may vary as much as large ones.
    if np.ptp(draws) <= np.finfo(float).eps * np.abs(draws).max():
        return float(draws.size)
    autocovariance = _autocovariance(draws)
    within = autocovariance[:, 0].mean() * n / (n - 1)
    total = within * (n - 1) / n
    if chains > 1:
        total += draws.mean(axis=1).var(ddof=1)
    rho = 1 - (within - autocovariance.mean(axis=0)) / total
    rho[0] = 1
    # Pairs of neighbouring lags are positive and fall for a reversible chain: the sum
    # stops where they are no longer positive, and never rises before.
    num_pairs = (n - 1) // 2
    pairs = rho[: 2 * num_pairs].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs[1:] <= 0)
    stop = 1 + int(negative[0]) if len(negative) else num_pairs - 1
    time = -1 + 2 * np.minimum.accumulate(pairs[:stop]).sum() + max(rho[2 * stop], 0)
    # Antithetic chains beat independent draws, but no estimate of that is this good.
    time = max(time, 1 / np.log10(draws.size))
    return float(draws.size / time)


def _autocovariance(draws: Draws) -> Draws:
    n = draws.shape[1]
    size = 1 << (2 * n - 1).bit_length()
    centered = draws - draws.mean(axis=1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(centered, size, axis=1)) ** 2
    return np.fft.irfft(spectrum, size, axis=1)[:, :n] / n
