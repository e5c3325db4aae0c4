"""Aux-k: dead latents learn what the living leave."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._core import ratio
from ._architecture import Run
from ._dictionary import Dictionary
from ._largest import at_least_kth


class AuxK(eqx.Module):
    """The largest dead latents reconstruct the error of the others.

    With e the error, held constant, and z the k largest pre-activations among dead
    latents, the loss is coefficient · share · |e - z W_dec|², summed over the output
    and a mean over the batch (Gao et al. 2024, appendix A.2). Gradients reach the dead
    latents' encoder and decoder rows, and b_dec of a centred dictionary. With fewer
    than k dead latents, share is their number over k, so that the loss fades as they
    come back; without any, it is 0.

    Args:
        coefficient: Its weight.
        k: Dead latents at a time; None for half the width of the activations.
        normalised: Divide by the error's own spread around its mean over the batch in
            place of the share, as Gao et al. do, with a coefficient of 1/32.
        rectified: Take negative pre-activations for 0.

    Raises:
        ValueError: `k` is not positive.
    """

    coefficient: float | Array = 1.0
    k: int | None = eqx.field(static=True, default=None)
    normalised: bool = eqx.field(static=True, default=False)
    rectified: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        if self.k is not None and self.k < 1:
            raise ValueError(
                f"AuxK: `k` must be at least 1; got {self.k}. For no auxiliary loss "
                "give the architecture `aux=None`."
            )

    def __call__(
        self,
        dictionary: Dictionary,
        pre: Float[Array, "batch d_sae"],
        error: Float[Array, "batch ..."],
        dead: Bool[Array, " d_sae"],
    ) -> Float[Array, ""]:
        """The auxiliary loss of a batch.

        Args:
            dictionary: The dictionary.
            pre: Its pre-activations.
            error: What its latents leave of the target.
            dead: Which latents count as dead.
        """
        error = jax.lax.stop_gradient(error)
        # Most steps of most trainings have no dead latent, and it is half of a step.
        # What the branch needs for its gradient is computed again where it is taken.
        return jax.lax.cond(
            dead.any(),
            jax.checkpoint(lambda *args: self._left(*args)),
            lambda *_: jnp.zeros((), error.dtype),
            dictionary, pre, error, dead,
        )  # fmt: skip

    def _left(
        self, dictionary: Dictionary, pre: Array, error: Array, dead: Array
    ) -> Float[Array, ""]:
        """The loss of a batch where a latent is dead."""
        width = max(dictionary.W_enc.shape[-2] // 2, 1)
        k = min(width if self.k is None else self.k, dictionary.d_sae)
        number = dead.sum()
        # Just below what there is: a search of the k-th value is then a short one.
        lowest = pre.min() - 1
        asleep = jnp.broadcast_to(dead, pre.shape)
        among = jnp.where(asleep, pre, lowest)
        kept = asleep & at_least_kth(among, jnp.asarray(k, jnp.int32), k)
        z = jnp.where(kept, jax.nn.relu(pre) if self.rectified else pre, 0)
        left = jnp.square(error - dictionary.written(z)).sum() / len(error)
        if self.normalised:
            mean = jnp.broadcast_to(error.mean(0), error.shape)
            spread = jnp.square(error - mean).sum() / len(error)
            share = jnp.where(number > 0, ratio(jnp.ones(()), spread, empty=0.0), 0)
        else:
            share = jnp.minimum(number.astype(jnp.float32) / k, 1)
        return (
            jnp.asarray(self.coefficient, left.dtype) * share.astype(left.dtype) * left
        )


def dead_latents(
    aux: AuxK | None, dictionary: Dictionary, run: Run
) -> Float[Array, ""]:
    """The auxiliary loss of a batch; 0 without one.

    Args:
        aux: What makes dead latents learn.
        dictionary: The dictionary.
        run: A batch and its latents.
    """
    if aux is None:
        return jnp.zeros((), run.f.dtype)
    return aux(dictionary, run.pre, run.error, run.dead)
