"""Tokens as users hand them over, and what is wrong with them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Integer


def checked_tokens(
    tokens: Any, d_vocab: int, *, who: str = "Transformer"
) -> Integer[Array, "*batch pos"]:
    """Tokens as a JAX array of ids that a model has.

    Under `jit` the ids are not known yet, and those that the model lacks give NaN.

    Raises:
        ValueError: no array of whole numbers with an axis of positions, or ids that are
            not in [0, d_vocab); the message gives them.
    """
    if not isinstance(tokens, jax.Array | np.ndarray):
        raise ValueError(
            f"{who}: tokens must be an array of ids; got {type(tokens).__name__}. "
            "Convert it with `jnp.asarray`."
        )
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(
            f"{who}: tokens must be ids, which are integers; got {tokens.dtype}."
        )
    if not tokens.ndim:
        raise ValueError(
            f"{who}: tokens need an axis of positions; got a single id. Give an array "
            "of one."
        )
    if not isinstance(tokens, Tracer):
        _check_ids(np.asarray(tokens), d_vocab, who)
    ids = jnp.asarray(tokens)
    # A type that can count any vocabulary, and below zero.
    return ids if ids.dtype in (jnp.int32, jnp.int64) else ids.astype(jnp.int32)


def _check_ids(ids: np.ndarray, d_vocab: int, who: str) -> None:
    outside = np.unique(ids[(ids < 0) | (ids >= d_vocab)])
    if len(outside):
        some = ", ".join(map(str, outside[:5].tolist()))
        more = f" and {len(outside) - 5} more" if len(outside) > 5 else ""
        raise ValueError(
            f"{who}: token ids must be in [0, {d_vocab}), the model's vocabulary; got "
            f"{some}{more}. Padding such as -100 is for a mask, and ids of another "
            "tokenizer are other words."
        )
