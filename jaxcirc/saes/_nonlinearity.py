"""What turns pre-activations into latents, once a dictionary is trained."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ._largest import at_least_kth

Latents = Float[Array, "*batch d_sae"]


class AbstractNonlinearity(eqx.Module):
    """Pre-activations to latents, most of which are 0; its arrays are parameters.

    A nonlinearity knows nothing of batches: it is applied to the last axis, so that a
    dictionary gives the same latents for an activation whatever it is encoded with.
    """

    @abc.abstractmethod
    def __call__(self, pre: Latents) -> Latents:
        """The latents, which are never negative."""


class Relu(AbstractNonlinearity):
    """Latents are what is positive: f = max(pre, 0)."""

    def __call__(self, pre: Latents) -> Latents:
        """The positive pre-activations, and 0 in place of the others."""
        return jax.nn.relu(pre)


class KeepTop(AbstractNonlinearity):
    """The k largest pre-activations of each row, as far as they are positive.

    Where several are equal to the k-th, all of them are kept.

    Args:
        k: How many; an integer array, so that dictionaries of different k are one
            stack and one program.
        most: The largest k that the program is compiled for.
    """

    k: Int[Array, ""]
    most: int = eqx.field(static=True)

    def __call__(self, pre: Latents) -> Latents:
        """The k largest of the last axis, and 0 in place of the others."""
        f = jax.nn.relu(pre)
        return jnp.where(at_least_kth(f, self.k, self.most), f, 0)


class Above(AbstractNonlinearity):
    """Latents are what exceeds a threshold: f = pre where pre > θ, else 0 (jump-ReLU).

    Args:
        threshold: θ of each latent, never negative; float32 in all precisions, since
            the steps of training vanish in fewer digits.
    """

    threshold: Float[Array, " d_sae"]

    def __call__(self, pre: Latents) -> Latents:
        """The pre-activations above their thresholds, and 0 in place of the others."""
        return jnp.where(is_above(pre, self.threshold), jax.nn.relu(pre), 0)


class Gate(AbstractNonlinearity):
    """Latents are magnitudes where gates are open: 1[pre + b_gate > 0] relu(m).

    The magnitudes m = e^r_mag pre + b_mag share the gates' directions and have biases
    and scales of their own.

    Args:
        b_gate: Bias of each gate.
        b_mag: Bias of each magnitude.
        r_mag: Logarithm of each magnitude's scale.
    """

    b_gate: Float[Array, " d_sae"]
    b_mag: Float[Array, " d_sae"]
    r_mag: Float[Array, " d_sae"]

    def __call__(self, pre: Latents) -> Latents:
        """The magnitudes behind open gates, and 0 in place of the others."""
        wide = lambda row: jnp.broadcast_to(row, pre.shape)
        magnitude = jax.nn.relu(pre * wide(jnp.exp(self.r_mag)) + wide(self.b_mag))
        return jnp.where(pre + wide(self.b_gate) > 0, magnitude, 0)


def is_above(
    pre: Float[Array, "*batch d_sae"], threshold: Float[Array, " d_sae"]
) -> Bool[Array, "*batch d_sae"]:
    """Whether each pre-activation exceeds its latent's threshold.

    Args:
        pre: Pre-activations.
        threshold: One of each latent.
    """
    over = jnp.broadcast_to(jax.lax.stop_gradient(threshold), pre.shape)
    return pre.astype(over.dtype) > over
