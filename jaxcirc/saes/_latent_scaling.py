"""Whether what seems new to one checkpoint of a crosscoder really is."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import ratio


@jax.jit
def latent_scaling(
    y: Float[Array, "token d"],
    f: Float[Array, "token latent"],
    directions: Float[Array, "latent d"],
    *,
    own: Float[Array, "latent d"] | None = None,
) -> Float[Array, " latent"]:
    """By how much each latent has to be scaled to account for its share of something.

    For each latent alone, with f its activations and d its direction,

        β = argmin_β Σ ‖y - β f d‖² = Σ f (y · d) / (Σ f² ‖d‖²).

    A penalty on norms can shrink what a latent writes at a checkpoint to nothing though
    the checkpoint has the feature, so that it looks new later on. Take the direction of
    the checkpoint where it is large, and as y what the crosscoder leaves over at the
    earlier one: near 1, the feature is there and was left in the error (complete
    shrinkage); near 0, it is really new. With the earlier reconstruction as y, near 1
    says that other latents write it there (latent decoupling). Minder et al. 2025,
    arXiv:2504.02922; they divide by the same number at the other checkpoint.

    Args:
        y: Errors x - x̂ or reconstructions x̂ at one checkpoint.
        f: Activations of the latents on the same tokens.
        directions: The direction of each latent, where it is large.
        own: What each latent itself writes into y per unit of activation: its share is
            added back, as if y were the error without this latent. Give its decoder row
            at y's checkpoint for an error, and minus that for a reconstruction.

    Returns:
        One number for each latent: 0 where y knows nothing of it, or it never fires.

    Example:
        A latent whose contribution is left in the error by half.

        >>> import jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> f, direction = jnp.array([[2.0], [0.0], [1.0]]), jnp.array([[0.0, 3.0]])
        >>> error = 0.5 * f @ direction
        >>> saes.latent_scaling(error, f, direction).tolist()
        [0.5]
        >>> saes.latent_scaling(error, f, direction, own=0.5 * direction).tolist()
        [1.0]
    """
    y, f, d = (x.astype(jnp.float32) for x in (y, f, directions))
    towards = jnp.matmul(f.T, y, precision="highest")
    power = jnp.square(f).sum(axis=0)
    above = (towards * d).sum(axis=1)
    if own is not None:
        above = above + power * (own.astype(jnp.float32) * d).sum(axis=1)
    return ratio(above, power * jnp.square(d).sum(axis=1), empty=0.0)
