"""What batch top-k and its kin have in common."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._architecture import AbstractArchitecture, Number, Run, check_numbers, check_sizes
from ._aux_k import AuxK, dead_latents
from ._dictionary import Dictionary
from ._largest import largest_of_all
from ._nonlinearity import Above
from ._state import State
from ._topk import check_k


class AbstractBatchTopK(AbstractArchitecture):
    """The k · batch largest latents of a batch, and afterwards a threshold.

    Attributes:
        k: Latents of an activation on average; a leaf, which may be an array.
        aux: How dead latents are brought back; None for not at all.
        threshold_rate: Share of a batch's smallest latent in the running mean.
    """

    k: eqx.AbstractVar[Number]
    aux: eqx.AbstractVar[AuxK | None]
    threshold_rate: eqx.AbstractVar[Number]

    def __check_init__(self):
        who = type(self).__name__
        check_sizes(who, self)
        check_numbers(who, 0, k=self.k)
        check_k(who, self.k, self.d_sae, self.d_sae)

    @property
    def scales(self) -> bool:
        """Latents are in units of their decoder rows' lengths."""
        return True

    def nonlinearity(self) -> Above:
        """A threshold of 0 until training has found one."""
        return Above(jnp.zeros(self.d_sae))

    def active(
        self, dictionary: Dictionary, pre: Float[Array, "batch d_sae"]
    ) -> Float[Array, "batch d_sae"]:
        """The largest of the batch, as far as they are positive.

        Args:
            dictionary: Not used: its threshold is for after the training.
            pre: Pre-activations.
        """
        del dictionary
        return batch_top_k(pre, self.k)

    def auxiliary(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """What the dead latents leave of the error of the others.

        Args:
            dictionary: The dictionary.
            run: A batch and its latents.
        """
        return dead_latents(self.aux, dictionary, run)

    def next_state(self, state: State, f: Float[Array, "batch d_sae"]) -> State:
        """Silence and threshold after a batch.

        Args:
            state: What training kept before.
            f: The batch's latents.
        """
        state = state.after((f > 0).any(0), len(f))
        return moved_threshold(state, f, self.threshold_rate)

    def finished(self, dictionary: Dictionary, state: State) -> Dictionary:
        """The dictionary with the threshold that training found.

        Args:
            dictionary: As it was trained.
            state: Whose threshold it gets.
        """
        return with_threshold(dictionary, state)


def batch_top_k(
    pre: Float[Array, "batch d_sae"], k: Number
) -> Float[Array, "batch d_sae"]:
    """The k · batch largest positive numbers, and 0 in place of the others.

    Args:
        pre: Pre-activations.
        k: How many for each row, on average.
    """
    f = jax.nn.relu(pre)
    total = jnp.floor(jnp.asarray(k, jnp.float32) * len(f)).astype(jnp.int32)
    # With a total of 0 a search for the 0-th value would keep what is largest.
    return jnp.where(largest_of_all(f, total) & (total > 0), f, 0)


def moved_threshold(
    state: State, f: Float[Array, "batch d_sae"], rate: Number
) -> State:
    """The state with its running mean of the smallest latent moved by a batch.

    Args:
        state: What training kept before.
        f: The batch's latents; if none is above 0, the mean stays.
        rate: Share of this batch.
    """
    least = jnp.where(f > 0, f, jnp.inf).min().astype(jnp.float32)
    # A mean that began at 0 would be too low for the first 1 / rate batches.
    rate = jnp.where(state.threshold == 0, 1, jnp.asarray(rate, jnp.float32))
    moved = (1 - rate) * state.threshold + rate * least
    threshold = jnp.where(jnp.isfinite(least), moved, state.threshold)
    return dataclasses.replace(state, threshold=threshold)


def with_threshold(dictionary: Dictionary, state: State) -> Dictionary:
    """The dictionary with the state's threshold for every latent.

    Args:
        dictionary: As it was trained.
        state: What training kept.
    """
    threshold = jnp.full(dictionary.d_sae, state.threshold)
    return dataclasses.replace(dictionary, nonlinearity=Above(threshold))
