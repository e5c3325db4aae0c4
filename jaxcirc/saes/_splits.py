"""Features that become several, and several that become one."""

import numpy as np
from jaxtyping import Array, Float


def splits(
    across: Float[Array | np.ndarray, "a b"],
    within: Float[Array | np.ndarray, "a a"],
    *,
    threshold: float = 0.5,
) -> dict[int, tuple[int, ...]]:
    """Latents of one dictionary that have become several in a later one.

    A latent has split if at least two latents of the later dictionary are as near to it
    as the threshold, and more than there were near to it in its own dictionary, itself
    included: latents that were two of a kind before have not split. Merges are splits
    the other way round: `splits(across.T, within_b)`.

    Args:
        across: Similarities of the latents of both, such as `cosines` of their rows.
        within: Similarities of the earlier latents among themselves.
        threshold: How near; below that at which latents count as the same, since what
            has become of half a feature is turned away from it.

    Returns:
        Earlier latent -> the later ones that it has become, nearest first.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> before = jnp.eye(2, 3)
        >>> after = jnp.array([[0.8, 0.0, 0.6], [0.8, 0.0, -0.6], [0.0, 1.0, 0.0]])
        >>> across = saes.cosines(before, after)
        >>> saes.splits(across, saes.cosines(before, before))
        {0: (0, 1)}
    """
    across, within = np.asarray(across), np.asarray(within)
    near, own = across >= threshold, (within >= threshold).sum(axis=1)
    counts = near.sum(axis=1)
    found = {}
    for latent in np.flatnonzero((counts >= 2) & (counts > own)):
        order = np.argsort(-across[latent], kind="stable")[: counts[latent]]
        found[int(latent)] = tuple(int(i) for i in order)
    return found
