"""Change points of one series: what no random order of its values would show."""

import functools
import itertools
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float, Int

# Shorter series have no level on either side of a change.
LEAST_CHECKPOINTS = 6
# How often a series without any order in time shows a change.
ALPHA = 0.05
# The part of it that is spent on pulses, which no single cut explains.
_FOR_PULSES = 0.1
_ORDERS = 400
# Checkpoints on either side of a cut among which a step is compared with a bend: near
# it for what is abrupt, farther for what takes some checkpoints.
_REACHES = (16, 32)
# Float32 holds seven digits: what moves in the last of them does not move.
_ROUNDING = 8 * float(np.finfo(np.float32).eps)


class Change(NamedTuple):
    """A change of level.

    Args:
        place: Index of the first value at the new level.
        before: Mean from the change before, or the beginning, to this one.
        after: Mean from here to the next change, or the end.
        strength: How much of the variation it explains, relative to the most that any
            cut explains in 95% of random orders of the values, of the whole series or
            of the piece in which it was found (see `changes`); above 1.
        share: Share of the change of level that happens between the two values around
            it and their neighbours: near 1 if abrupt, small in a slow drift.
    """

    place: int
    before: float
    after: float
    strength: float
    share: float


def changes(values: Float[np.ndarray, " step"]) -> list[Change]:
    """Changes of level of a series, in order.

    First the whole series is cut into levels by least squares (PELT, Killick et al.
    2012, by `ruptures`), where each cut must explain more than the best cut of 95.5% of
    random orders of the same values does; where no single cut does, as in a pulse, more
    than that of 99.5%. A series without any order in time so shows a change in at most
    one case of twenty. A series that drifts is cut into steps, with a low `share` each.

    Then each piece is looked at by itself, so that a small change after a large one is
    held against the noise around it and not against the large one. Its best cut counts
    if it explains more than that of random orders of the piece does, at the level of 5%
    times the piece's part of the series, and if around it a step fits better than any
    curve that bends one way only, which would be the rest of a change that is known
    already, or a drift. The two sides of the cut are looked at in the same way.

    Places are checkpoints, so evenly spaced ones see a slow change late in training and
    unevenly spaced ones do not.

    Args:
        values: One value per checkpoint, at least 6 of them finite; others are left
            out.

    Example:
        >>> [change.place for change in changes(np.repeat([1.0, 0.0, 0.04], 20))]
        [20, 40]
    """
    raw = np.asarray(values, np.float64)
    kept = np.flatnonzero(np.isfinite(raw))
    y = raw[kept]
    if len(y) < LEAST_CHECKPOINTS or _is_constant(y):
        return []
    found = _whole(y)
    for left, right in itertools.pairwise([0, *sorted(found), len(y)]):
        if right - left < len(y):
            found |= _within(y, left, right)
    places = sorted(found)
    bounds = [0, *places, len(y)]
    return [
        _change(y, left, place, right)._replace(
            place=int(kept[place]), strength=found[place]
        )
        for left, place, right in zip(bounds, places, bounds[2:], strict=False)
    ]


def _change(y: Float[np.ndarray, " step"], left: int, place: int, right: int) -> Change:
    before, after = float(y[left:place].mean()), float(y[place:right].mean())
    near = y[min(place + 1, right - 1)] - y[max(place - 2, left)]
    share = float(np.clip(near / (after - before), 0, 1)) if after != before else 0.0
    return Change(place, before, after, 0.0, share)


def _whole(y: Float[np.ndarray, " step"]) -> dict[int, float]:
    """Place -> strength of the cuts of the whole series."""
    z = _standard(y)
    chance = _chance_gains(z)
    limit = _limit(chance, (1 - _FOR_PULSES) * ALPHA)
    if _gains(z).max() <= limit:
        limit = _limit(chance, _FOR_PULSES * ALPHA)
    # Loaded here: it takes more than a second, and most commands look for nothing.
    import ruptures

    # A linear kernel is least squares, and its search is compiled.
    search = ruptures.KernelCPD(kernel="linear", min_size=2, jump=1)
    # The last of its cuts is the end of the series.
    *places, _ = map(int, search.fit_predict(z[:, None], pen=limit) or [len(z)])
    bounds = [0, *places, len(z)]
    return {
        place: _gain(z[left:right], place - left) / _scale(chance)
        for left, place, right in zip(bounds, places, bounds[2:], strict=False)
    }


def _within(y: Float[np.ndarray, " step"], left: int, right: int) -> dict[int, float]:
    """Place -> strength of the changes inside one piece of the series."""
    piece = y[left:right]
    if len(piece) < LEAST_CHECKPOINTS or _is_constant(piece):
        return {}
    z = _standard(piece)
    gains = _gains(z)
    cut = int(gains.argmax()) + 2
    chance = _chance_gains(z)
    if gains.max() <= _limit(chance, ALPHA * len(piece) / len(y)):
        return {}
    # A bend is no change, but there may be one on either side of it.
    strength = float(gains.max() / _scale(chance))
    own = {left + cut: strength} if _is_step(z, cut, len(y)) else {}
    return own | _within(y, left, left + cut) | _within(y, left + cut, right)


def _is_step(z: Float[np.ndarray, " step"], cut: int, whole: int) -> bool:
    """Whether around a cut a step explains more than noise does, and than a bend."""
    most = min(cut, len(z) - cut)
    return any(
        _is_step_among(z[cut - reach : cut + reach], whole)
        for reach in sorted({min(reach, most) for reach in _REACHES})
    )


def _is_step_among(near: Float[np.ndarray, " step"], whole: int) -> bool:
    if len(near) < LEAST_CHECKPOINTS or _is_constant(near):
        return False
    near = _standard(near)
    if _gains(near).max() <= _limit(_chance_gains(near), ALPHA * len(near) / whole):
        return False
    first, second = np.split(near, 2)
    step = len(first) * (first.var() + second.var())
    # Schwarz's criterion, for the two numbers more that a step has: its place and size.
    return bool(step * len(near) ** (2 / len(near)) < _bend_error(near))


def _bend_error(y: Float[np.ndarray, " step"]) -> float:
    """Squares left by the best convex or concave curve, whichever is better."""
    hinges = _hinges(len(y))
    return min(float(scipy.optimize.nnls(hinges, sign * y)[1]) ** 2 for sign in (1, -1))


@functools.lru_cache(maxsize=64)
def _hinges(n: int) -> Float[np.ndarray, "step hinge"]:
    """Columns whose sums with weights of at least 0 are the convex curves."""
    x = np.arange(n) / n
    line = [np.ones(n), -np.ones(n), x, -x]
    return np.column_stack([*line, np.maximum(x[:, None] - x[1:-1], 0)])


def _chance_gains(y: Float[np.ndarray, " step"]) -> Float[np.ndarray, " order"]:
    """What the best cut explains in each of many random orders of `y`."""
    best = [_gains(y[some]).max(axis=1) for some in _orders(len(y))]
    return np.concatenate(best)


def _limit(chance: Float[np.ndarray, " order"], alpha: float) -> float:
    """What the best cut explains in all but a share `alpha` of random orders."""
    return float(np.quantile(chance, 1 - alpha, method="higher"))


def _scale(chance: Float[np.ndarray, " order"]) -> float:
    return float(np.quantile(chance, 0.95))


@functools.lru_cache(maxsize=16)
def _orders(n: int) -> list[Int[np.ndarray, "order step"]]:
    """Random orders of `n` values, the same ones always, a few at a time."""
    every = np.tile(np.arange(n, dtype=np.int32), (_ORDERS, 1))
    shuffled = np.random.default_rng(0).permuted(every, axis=1)
    return np.array_split(shuffled, max(1, shuffled.size // 2**18))


def _gains(y: Float[np.ndarray, "*order step"]) -> Float[np.ndarray, "*order cut"]:
    """What each cut explains, the first behind the second value; sums of squares."""
    n = y.shape[-1]
    total = y.sum(axis=-1, keepdims=True)
    left = np.cumsum(y, axis=-1)[..., 1 : n - 2]
    k = np.arange(2, n - 1)
    gap = left / k - (total - left) / (n - k)
    return k * (n - k) / n * gap**2


def _gain(y: Float[np.ndarray, " step"], cut: int) -> float:
    jump = y[cut:].mean() - y[:cut].mean()
    return float(cut * (len(y) - cut) / len(y) * jump**2)


def _standard(y: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    return (y - y.mean()) / y.std()


def _is_constant(y: Float[np.ndarray, " step"]) -> bool:
    return bool(np.ptp(y) <= _ROUNDING * np.abs(y).max())
