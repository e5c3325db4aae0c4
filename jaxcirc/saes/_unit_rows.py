"""Decoder rows of length 1, with latents that say what they write."""

import dataclasses

import jax.numpy as jnp

from ._dictionary import Dictionary
from ._nonlinearity import Above, Gate, KeepTop


def unit_rows(dictionary: Dictionary) -> Dictionary:
    """The same map with decoder rows of length 1, so that latents say what they write.

    Each latent is multiplied by its row's length and the row divided by it. Encoder,
    biases and thresholds follow, so that the same latents are above 0 for every
    activation, and the output is the same up to rounding. A dictionary that `scales`
    does this whenever it is used; afterwards it no longer has to.

    Args:
        dictionary: Any; rows of zeros stay as they are.

    Returns:
        A dictionary that does not scale.

    Raises:
        ValueError: it keeps the k largest latents without scaling them, so that longer
            latents would be other ones.

    Example:
        >>> import jax
        >>> from jaxcirc import saes
        >>> old = saes.TopK(d_in=8, d_sae=32, k=3).init(jax.random.key(0))
        >>> new = saes.unit_rows(old)
        >>> [round(float(n), 4) for n in (old.norms[0], new.norms[0])], new.scales
        ([0.1, 1.0], False)
    """
    kind = dictionary.nonlinearity
    if isinstance(kind, KeepTop) and not dictionary.scales:
        raise ValueError(
            "unit_rows: this dictionary keeps the largest latents as they are, and "
            "longer ones would be others. Train it with rows of length 1, or with "
            "latents scaled by them, as `TopK` does."
        )
    length = jnp.where(dictionary.norms == 0, 1, dictionary.norms)
    if not dictionary.scales and isinstance(kind, Above):
        # Thresholds of one that scales are in those units already.
        kind = Above(kind.threshold * length.astype(kind.threshold.dtype))
    if isinstance(kind, Gate):
        kind = Gate(kind.b_gate * length, kind.b_mag * length, kind.r_mag)
    b_enc = None if dictionary.b_enc is None else dictionary.b_enc * length
    W_enc = dictionary.W_enc * jnp.broadcast_to(length, dictionary.W_enc.shape)
    rows = length.reshape(-1, *[1] * (dictionary.W_dec.ndim - 1))
    return dataclasses.replace(
        dictionary,
        W_enc=W_enc,
        b_enc=b_enc,
        W_dec=dictionary.W_dec / jnp.broadcast_to(rows, dictionary.W_dec.shape),
        nonlinearity=kind,
        scales=False,
    )
