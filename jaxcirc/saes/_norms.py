"""Activations brought to a mean norm of √d, and weights that take it back."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._dictionary import Dictionary
from ._nonlinearity import Above


class Norms(NamedTuple):
    """What activations are multiplied by, and their mean after that.

    Args:
        scale_in: Factor of the input, of each site that a dictionary reads.
        scale_out: Factor of the target.
        mean_out: Mean of the target, after scaling.
    """

    scale_in: Float[Array, "*axis"]
    scale_out: Float[Array, "*axis_out"]
    mean_out: Float[Array, "*axis_out d_out"]


def measured(
    inputs: Float[Array, "row *axis d"],
    targets: Float[Array, "row *axis_out d_out"],
    counts: Bool[Array, " row"],
    *,
    normalise: bool,
) -> Norms:
    """The factors and means of the rows that count.

    The factor is √d over the mean norm, so that an entry of an activation is about 1 in
    size wherever the activation is from, and coefficients mean the same everywhere.

    Args:
        inputs: Rows of inputs.
        targets: Rows of targets.
        counts: Which of the rows to measure.
        normalise: Whether to; factors of 1 if not.
    """
    scale_out = _scale(targets, counts, normalise)
    share = counts.astype(targets.dtype) / counts.sum().astype(targets.dtype)
    mean = jnp.einsum("n,n...->...", share, targets, precision="highest")
    mean = mean * jnp.broadcast_to(scale_out[..., None], mean.shape)
    return Norms(_scale(inputs, counts, normalise), scale_out, mean)


def _scale(x: Array, counts: Array, normalise: bool) -> Array:
    if not normalise:
        return jnp.ones(x.shape[1:-1], x.dtype)
    share = counts.astype(x.dtype) / counts.sum().astype(x.dtype)
    norms = jnp.linalg.norm(x, axis=-1)
    mean = jnp.einsum("n,n...->...", share, norms, precision="highest")
    # A place where nothing ever is stays nothing, at any factor.
    return jnp.where(mean > 0, jnp.sqrt(float(x.shape[-1])) / mean, 1.0)


def folded(
    dictionary: Dictionary,
    scale_in: Float[Array, "*site"],
    scale_out: Float[Array, "*site_out"],
) -> Dictionary:
    """The dictionary of raw activations that does what this one does of scaled ones.

    With s the factors of input and output, W_enc becomes s W_enc, and W_dec and b_dec
    are divided by s_out; a skip becomes s W_skip / s_out. Latents are the same numbers,
    unless they are in units of decoder rows, which are then shorter by s_out.

    Args:
        dictionary: Trained on activations times factors.
        scale_in: Factor of the input, one for each site of a crosscoder.
        scale_out: Factor of the output.
    """
    inward = jnp.broadcast_to(scale_in[..., None, None], dictionary.W_enc.shape)
    outward = jnp.broadcast_to(scale_out[..., None], dictionary.b_dec.shape)
    if dictionary.scales and scale_out.ndim:
        # Factors that differ between sites would change which latents are largest, as
        # measured by the rows; of latents that are measured already they do not.
        dictionary = in_own_units(dictionary)
    skip, nonlinearity = dictionary.W_skip, dictionary.nonlinearity
    if dictionary.scales and isinstance(nonlinearity, Above):
        nonlinearity = Above(nonlinearity.threshold / scale_out)
    return dataclasses.replace(
        dictionary,
        W_enc=dictionary.W_enc * inward,
        W_dec=dictionary.W_dec / jnp.broadcast_to(outward, dictionary.W_dec.shape),
        b_dec=dictionary.b_dec / outward,
        W_skip=None if skip is None else skip * (scale_in / scale_out),
        nonlinearity=nonlinearity,
    )


def in_own_units(dictionary: Dictionary) -> Dictionary:
    """The same function, with the lengths of decoder rows inside the encoder.

    A dictionary that scales multiplies pre-activations by lengths and divides latents
    by them; here the weights have that done. Latents are the same numbers.

    Args:
        dictionary: One that scales.
    """
    lengths, b_enc = dictionary.norms, dictionary.b_enc
    divided = jnp.where(lengths == 0, 1, lengths)
    per_row = divided.reshape(-1, *(1,) * (dictionary.W_dec.ndim - 1))
    return dataclasses.replace(
        dictionary,
        W_enc=dictionary.W_enc * jnp.broadcast_to(lengths, dictionary.W_enc.shape),
        b_enc=None if b_enc is None else b_enc * lengths,
        W_dec=dictionary.W_dec / jnp.broadcast_to(per_row, dictionary.W_dec.shape),
        scales=False,
    )
