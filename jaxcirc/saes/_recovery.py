"""How much of planted features a dictionary has found."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ._density import Firing, firing
from ._dictionary import Dictionary
from ._mcc import MCC, Detection, detection, mcc
from ._planted import Planted
from ._reconstruction import Reconstruction, reconstruction


class Recovery(NamedTuple):
    """A dictionary beside the truth.

    Args:
        directions: Which latent is which feature, the MCC and the uniqueness.
        detection: Precision, recall, F1 and shrinkage of each feature's latent.
        firing: How often latents fire.
        reconstruction: How near reconstructions are.
        l0: How many features fire on a token in the mean, in the same sample; compare
            it with `firing.l0`.
    """

    directions: MCC
    detection: Detection
    firing: Firing
    reconstruction: Reconstruction
    l0: Float[Array, ""]


def recovery(
    dictionary: Dictionary, truth: Planted, *, n: int = 8192, key: Key[Array, ""]
) -> Recovery:
    """Judge a dictionary by the features that its activations are made of.

    Read the MCC first. A reconstruction can be improved by fitting what superposition
    leaves as noise, so a lower FVU need not mean that more features were found. Latents
    that never fire on the sample are not matched, and a feature that is left without a
    latent counts 0 in the MCC; features that are not alive do not count, and have NaN.

    Args:
        dictionary: What was trained on `truth`'s activations.
        truth: The planted features.
        n: How many tokens are drawn; all are held at once.
        key: Random key of the tokens; another one than in training.

    Returns:
        Directions found, detection of each feature, and the usual measures.

    Raises:
        ValueError: the dictionary has another width than the activations.

    Example:
        A dictionary that was given the true directions.

        >>> import equinox as eqx, jax.random as jr
        >>> from jaxcirc import saes
        >>> truth = saes.planted(12, 8, l0=1.5, key=jr.key(0))
        >>> made = saes.TopK(d_in=8, d_sae=12, k=2).init(jr.key(1))
        >>> made = eqx.tree_at(
        ...     lambda d: (d.W_enc, d.W_dec),
        ...     made,
        ...     (truth.directions.T, truth.directions),
        ... )
        >>> found = saes.recovery(made, truth, n=2000, key=jr.key(2))
        >>> round(found.directions.mcc, 4), found.directions.assignment.tolist()[:4]
        (1.0, [0, 1, 2, 3])
    """
    if dictionary.W_enc.shape[:-1] != truth.directions.shape[1:]:
        raise ValueError(
            f"recovery: the activations have {truth.directions.shape[1]} dimensions; "
            f"the dictionary reads {list(dictionary.W_enc.shape[:-1])}."
        )
    x, features, f, x_hat = _run(dictionary, truth, n, key)
    fired = firing(f)
    alive, used = np.flatnonzero(truth.alive), np.flatnonzero(fired.counts)
    found = _everywhere(
        mcc(dictionary.W_dec[used], truth.directions[alive]), alive, used, truth
    )
    lengths = dictionary.norms[found.assignment]
    # Latents that are scaled already are in units of what they write.
    along = found.cosine * (1 if dictionary.scales else np.asarray(lengths))
    return Recovery(
        found,
        detection(f, features, found.assignment, along),
        fired,
        reconstruction(x, x_hat),
        (features != 0).sum(axis=1).astype(jnp.float32).mean(),
    )


@eqx.filter_jit
def _run(dictionary: Dictionary, truth: Planted, n: int, key: Key[Array, ""]):
    x, features = truth.sample(n, key=key)
    f = dictionary.encode(x)
    return x, features, f, dictionary.output(x, f)


def _everywhere(found: MCC, alive, used, truth: Planted) -> MCC:
    """Pairs of what is alive, in the numbering of all; the mean is over all of it.

    A dictionary of few latents that fire would else be judged by those alone.
    """
    n = len(truth.probability)
    pairs, cosine = np.full(n, -1), np.full(n, np.nan)
    some = found.assignment >= 0
    pairs[alive[some]] = used[found.assignment[some]]
    cosine[alive] = found.cosine
    mean = float(np.abs(found.cosine).mean()) if len(alive) else np.nan
    return found._replace(mcc=mean, assignment=pairs, cosine=cosine)
