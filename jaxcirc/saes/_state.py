"""What training keeps beside the weights."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class State(eqx.Module):
    """What a loss needs to know of the steps before it; a pytree of arrays.

    Args:
        silent: Tokens since each latent was last above 0.
        threshold: Running mean of the smallest latent that batch top-k keeps, which
            serves as its threshold after training; 0 before the first step.
        progress: Share of the training that is done, from 0 to 1, for what is warmed
            up; who trains sets it with `at`.
    """

    silent: Float[Array, " d_sae"]
    threshold: Float[Array, ""]
    progress: Float[Array, ""]

    @classmethod
    def new(cls, d_sae: int) -> "State":
        """The state before the first step: no latent has been silent yet.

        Args:
            d_sae: Number of latents.
        """
        return cls(jnp.zeros(d_sae), jnp.zeros(()), jnp.zeros(()))

    def at(self, progress: Float[Array, ""] | float) -> "State":
        """The same state at another share of the training."""
        return dataclasses.replace(self, progress=jnp.asarray(progress, jnp.float32))

    def after(self, fired: Bool[Array, " d_sae"], tokens: int) -> "State":
        """The state after a batch.

        Args:
            fired: Whether each latent was above 0 for any token of the batch.
            tokens: Number of tokens in the batch.
        """
        # Past 16 million a float32 would not notice one token more, but it does notice
        # a batch; integers would need a type that is wide enough for any training.
        silent = jnp.where(fired, 0.0, self.silent + tokens)
        return dataclasses.replace(self, silent=silent)
