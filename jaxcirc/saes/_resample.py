"""Dead latents get the directions of activations that are badly reconstructed."""

import dataclasses

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import ratio
from ._dictionary import Dictionary

# Encoder rows of new latents, in units of the living ones' mean length: small, so that
# they change little of what the others have learnt.
SHARE = 0.2


def resampled(
    dictionary: Dictionary,
    dead: Bool[Array, " d_sae"],
    x: Float[Array, "batch d_in"],
    *,
    key: Key[Array, ""],
) -> Dictionary:
    """The dictionary with new directions for the latents that are dead.

    Each takes an activation x, drawn with probability proportional to its squared
    error. Its decoder row is x - b_dec, as long as the living ones in the mean, its
    encoder the same direction with a fifth of their mean length, its bias 0 (Bricken
    et al. 2023, up to the choice of rows).

    Args:
        dictionary: An autoencoder of one site.
        dead: Which latents to replace.
        x: Activations.
        key: Random key of the draw.
    """
    error = jnp.square(x - dictionary(x)).sum(-1)
    chosen = jr.categorical(key, jnp.log(jnp.square(error)), shape=dead.shape)
    direction = (x - jnp.broadcast_to(dictionary.b_dec, x.shape))[chosen]
    length = jnp.linalg.norm(direction, axis=1, keepdims=True)
    length = jnp.broadcast_to(length, direction.shape)
    direction = ratio(direction, length, empty=0.0)
    alive = (~dead).astype(x.dtype)
    mean = lambda lengths: (lengths * alive).sum() / jnp.maximum(alive.sum(), 1)
    encoder = SHARE * mean(jnp.linalg.norm(dictionary.W_enc, axis=0))
    decoder = mean(jnp.linalg.norm(dictionary.W_dec, axis=1))
    b_enc = dictionary.b_enc
    return dataclasses.replace(
        dictionary,
        W_enc=jnp.where(dead[None], encoder * direction.T, dictionary.W_enc),
        W_dec=jnp.where(dead[:, None], decoder * direction, dictionary.W_dec),
        b_enc=None if b_enc is None else jnp.where(dead, 0, b_enc),
    )


def without_moments(optimizer: PyTree, dead: Bool[Array, " d_sae"]) -> PyTree:
    """An optimiser's state whose moments of replaced latents are 0.

    Args:
        optimizer: State of an optax transformation of a dictionary.
        dead: Which latents were replaced.
    """

    def cleared(x: PyTree) -> PyTree:
        if not isinstance(x, Dictionary):
            return x
        b_enc = x.b_enc
        return dataclasses.replace(
            x,
            W_enc=jnp.where(dead[None], 0, x.W_enc),
            W_dec=jnp.where(dead[:, None], 0, x.W_dec),
            b_enc=None if b_enc is None else jnp.where(dead, 0, b_enc),
        )

    return jax.tree.map(cleared, optimizer, is_leaf=lambda x: isinstance(x, Dictionary))
