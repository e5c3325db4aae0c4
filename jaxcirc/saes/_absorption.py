"""Whether latents of special cases keep that of the general one from firing."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._assignment import cosines


class Absorption(NamedTuple):
    """How often a child's latent does its parent's work.

    Args:
        rate: For each child, the share of its occurrences on which its parent's latent
            is silent and its own fires and writes along the parent's direction.
        missed: For each child, the share of its occurrences on which its parent's
            latent is silent, whoever else fires.
        n: How often each child occurred; rates rest on that.
        parent: The parent of each child, as a place in the list of all features.
        child: The children, likewise.
    """

    rate: Float[Array, " child"]
    missed: Float[Array, " child"]
    n: Int[Array, " child"]
    parent: Int[np.ndarray, " child"]
    child: Int[np.ndarray, " child"]

    @property
    def mean(self) -> float:
        """The rate over the occurrences of all children; NaN without any."""
        n, rate = np.asarray(self.n), np.asarray(self.rate)
        return (
            float(np.where(n > 0, n * rate, 0).sum() / n.sum()) if n.sum() else np.nan
        )


def absorption(
    f: Float[Array, "token latent"],
    features: Float[Array, "token feature"],
    directions: Float[Array, "latent d"],
    truth: Float[Array, "feature d"],
    parent: Int[Array | np.ndarray, " feature"],
    pairs: Int[Array | np.ndarray, " feature"],
    *,
    along: float = 0.2,
) -> Absorption:
    """Absorption on a planted hierarchy.

    A child never fires without its parent, so a sparse dictionary can save a latent: it
    lets the child's latent write both directions, and the parent's latent be silent
    there. The latent for "begins with an S" then misses "short", which has a latent of
    its own (Chanin et al. 2024). With a known hierarchy this can be
    counted: on tokens where the child is there, is the parent's latent silent, while
    the child's fires, and does that one's row have a cosine of at least `along` with
    the parent's direction?

    Args:
        f: Activations of the latents.
        features: Magnitudes of the true features on the same tokens.
        directions: Decoder rows.
        truth: True directions.
        parent: The parent of each feature, or -1 (`Planted.parent`).
        pairs: The latent of each feature, or -1 (`MCC.assignment`). Children whose
            parent or who themselves have no latent have NaN.
        along: The cosine from which on a latent writes along a direction. True
            directions that are themselves nearer than that count as absorption.

    Returns:
        Rates by child, and how often parents are missed for whatever reason.

    Example:
        The parent's latent (0) is silent wherever the child's (1) fires, which writes
        the sum of both.

        >>> import jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> features = jnp.array([[1.0, 0.0], [1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
        >>> f = jnp.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
        >>> truth, rows = jnp.eye(2), jnp.array([[1.0, 0.0], [1.0, 1.0]])
        >>> parent, pairs = jnp.array([-1, 0]), jnp.array([0, 1])
        >>> saes.absorption(f, features, rows, truth, parent, pairs).rate.tolist()
        [1.0]
    """
    parent, pairs = np.asarray(parent), np.asarray(pairs)
    children = np.flatnonzero(parent >= 0)
    parents = parent[children]
    own, above = pairs[children], pairs[parents]
    known = jnp.asarray((own >= 0) & (above >= 0))
    there = features[:, children] != 0
    silent = there & (f[:, above] == 0)
    row = np.maximum(own, 0), parents
    writes = jnp.asarray(np.asarray(cosines(directions, truth))[row] >= along)
    taken = silent & (f[:, own] != 0) & writes[None]
    n = there.sum(axis=0, dtype=jnp.int32)
    share = lambda x: jnp.where(
        known & (n > 0), x.sum(axis=0) / jnp.maximum(n, 1).astype(jnp.float32), jnp.nan
    )
    return Absorption(
        share(taken.astype(jnp.float32)),
        share(silent.astype(jnp.float32)),
        jnp.where(known, n, 0),
        parents,
        children,
    )
