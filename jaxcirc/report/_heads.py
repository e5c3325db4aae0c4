"""The head that findings and figures are about."""

from typing import NamedTuple

import numpy as np
import xarray as xr


class ProminentHead(NamedTuple):
    """The head that findings and figures are about.

    Args:
        layer: Layer of the head, counted from 0.
        head: Its number in the layer.
        place: Index of the step at which its score is told.
        score: The score there, the mean over seeds; NaN if no score is finite.
        lost: Whether that is before the end, since no head there is half as strong.
    """

    layer: int
    head: int
    place: int
    score: float
    lost: bool


def prominent_head(score: xr.DataArray) -> ProminentHead:
    """The strongest head at the end, or the strongest ever if none is left like it.

    At the end means at the last checkpoint with finite scores. One function decides,
    so that a sentence and a figure never name different heads.

    Args:
        score: Scores with axes `step`, `seed`, `layer` and `head`.
    """
    mean = score.mean("seed").transpose("step", "layer", "head").values.astype(float)
    # NaN would win every `argmax`.
    known = np.where(np.isfinite(mean), mean, -np.inf)
    finite = np.flatnonzero(np.isfinite(mean).any(axis=(1, 2)))
    if not len(finite):
        return ProminentHead(0, 0, len(mean) - 1, float("nan"), False)
    end, layer, head = int(finite[-1]), *_argmax(known[finite[-1]])
    ever, *best = _argmax(known)
    if known[end, layer, head] > known.max() / 2:
        return ProminentHead(layer, head, end, float(known[end, layer, head]), False)
    return ProminentHead(best[0], best[1], ever, float(known.max()), True)


def _argmax(values: np.ndarray) -> tuple[int, ...]:
    """The index of the greatest value, on each axis."""
    return tuple(int(i) for i in np.unravel_index(values.argmax(), values.shape))
