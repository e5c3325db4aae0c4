"""How many of the true directions a dictionary has."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._assignment import assignment, cosines


class MCC(NamedTuple):
    """Directions of a dictionary beside those that are known.

    Args:
        mcc: Mean absolute cosine of the matched pairs, in [0, 1].
        assignment: For each true direction the latent that it is matched with, or -1.
        cosine: The cosine of each pair, with its sign; 0 where there is none.
        uniqueness: How many true directions are the nearest one of some latent, over
            the number of latents; in (0, 1]. It is low where latents repeat each other.
    """

    mcc: float
    assignment: Int[np.ndarray, " feature"]
    cosine: Float[np.ndarray, " feature"]
    uniqueness: float


def mcc(
    directions: Float[Array, "latent d"], truth: Float[Array, "feature d_truth"]
) -> MCC:
    """Mean correlation coefficient: the mean |cosine| of latents and true directions.

    Pairs are those with the largest sum of absolute cosines, none with two partners.
    The mean is over the pairs, so over all true directions if there are at least as
    many latents. Between two dictionaries of one size it is the pairwise MCC
    (arXiv:2505.20254). Random directions do not have 0: in 512
    dimensions 2,048 of them have 0.15 with 2,048 others, and fewer dimensions more.
    Lengths and signs of directions do not matter.

    Args:
        directions: Decoder rows of the latents; leave out those that never fire.
        truth: The directions that there really are, or those of another dictionary.

    Returns:
        The mean, the pairs, and how far latents repeat each other.

    Raises:
        ValueError: the two live in different dimensions, or an entry is NaN.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> truth = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        >>> found = saes.mcc(jnp.array([[0.0, 2.0], [0.6, 0.8], [3.0, 0.0]]), truth)
        >>> found.mcc, found.assignment.tolist(), round(found.uniqueness, 3)
        (1.0, [2, 0], 0.667)
    """
    if directions.shape[1] != truth.shape[1]:
        raise ValueError(
            f"mcc: latents have {directions.shape[1]} dimensions and true directions "
            f"{truth.shape[1]}; compare them in one space."
        )
    table = np.asarray(cosines(truth, directions))
    columns = assignment(np.abs(table))
    paired = columns >= 0
    cosine = np.where(paired, table[np.arange(len(table)), columns], 0)
    nearest = np.unique(np.abs(table).argmax(axis=0))
    return MCC(
        float(np.abs(cosine[paired]).mean()),
        columns,
        cosine,
        len(nearest) / table.shape[1],
    )


class Detection(NamedTuple):
    """How well latents say whether a feature is there.

    Args:
        precision: The share of a latent's firings at which the feature was there; NaN
            if it never fires.
        recall: The share of the feature's occurrences at which the latent fires; NaN if
            there is none.
        f1: Their harmonic mean; 0 if they never meet.
        shrinkage: What the latent writes along the feature's direction, over the
            magnitude that is there, both summed over tokens where both fire; 1 if all
            of it is recovered, NaN if they never meet.
    """

    precision: Float[Array, " feature"]
    recall: Float[Array, " feature"]
    f1: Float[Array, " feature"]
    shrinkage: Float[Array, " feature"]


def detection(
    f: Float[Array, "token latent"],
    features: Float[Array, "token feature"],
    pairs: Int[Array | np.ndarray, " feature"],
    along: Float[Array | np.ndarray, " feature"],
) -> Detection:
    """Precision, recall, F1 and shrinkage of latents, against what they stand for.

    Whether something fires is whether it is not 0. A latent that has split off the
    commonest uses of a feature keeps its precision and loses recall; one that also
    fires for others keeps recall and loses precision.

    Args:
        f: Activations of the latents.
        features: Magnitudes of the true features on the same tokens.
        pairs: For each feature its latent, or -1 for none, which gives NaN.
        along: What each pair's latent writes along the feature's direction for an
            activation of 1: the length of its decoder row times their cosine.

    Returns:
        One number for each feature.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> f = jnp.array([[0.5], [0.5], [0.0], [0.0]])
        >>> truth = jnp.array([[1.0], [0.0], [1.0], [0.0]])
        >>> found = saes.detection(f, truth, jnp.array([0]), jnp.array([1.0]))
        >>> [float(v[0]) for v in found]
        [0.5, 0.5, 0.5, 0.5]
    """
    pairs = jnp.asarray(pairs)
    chosen = f[:, pairs]
    fires, there = chosen != 0, features != 0
    count = lambda x: x.sum(axis=0, dtype=jnp.float32)
    both, alone, all_there = count(fires & there), count(fires), count(there)
    nan = jnp.full_like(both, jnp.nan)
    some = lambda above, below: jnp.where(
        (below > 0) & (pairs >= 0), above / jnp.where(below > 0, below, 1), nan
    )
    meet = jnp.where(fires & there, 1, 0).astype(chosen.dtype)
    written = (meet * chosen).sum(axis=0) * jnp.asarray(along, chosen.dtype)
    return Detection(
        some(both, alone),
        some(both, all_there),
        some(2 * both, alone + all_there),
        some(written, (meet * features).sum(axis=0)),
    )
