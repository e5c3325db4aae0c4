"""Heads told apart by what they attend to."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Key

from ..metrics import induction_score
from ..models import Transformer, capture


def repeated_tokens(
    d_vocab: int, n_ctx: int, n: int, key: Key[Array, ""]
) -> tuple[Int[Array, "sequence pos"], int]:
    """`[x] + r + r`: random tokens twice behind one more, and the length of `r`.

    `r` is as long as fits the context twice (Olsson et al. 2022).
    """
    period = (n_ctx - 1) // 2
    random = jr.randint(key, (n, period + 1), 0, d_vocab)
    return jnp.concatenate([random, random[:, 1:]], axis=1), period


def repeated_patterns(
    model: Transformer, n: int, key: Key[Array, ""]
) -> tuple[Float[Array, "layer sequence head query_pos key_pos"], int]:
    """Attention on random tokens that repeat, and the length of what repeats."""
    c = model.config
    tokens, period = repeated_tokens(c.d_vocab, c.n_ctx, n, key)
    return capture(model, tokens, ("attn.pattern",))[1]["attn.pattern"], period


def induction_scores(
    model: Transformer, *, n_sequences: int = 16, key: Key[Array, ""]
) -> Float[Array, "layer head"]:
    """Induction score of every head on random tokens that repeat, in [0, 1].

    Args:
        model: Whose heads; its context must hold a block of two tokens twice.
        n_sequences: Random sequences to average over.
        key: Of the sequences.
    """
    pattern, period = repeated_patterns(model, n_sequences, key)
    score = lambda p: induction_score(p, period=period)
    return jax.vmap(jax.vmap(jax.vmap(score)))(pattern).mean(axis=1)


def induction_heads(
    model: Transformer, number: int, *, key: Key[Array, ""]
) -> tuple[Int[Array, " rank"], Int[Array, " rank"]]:
    """Layers and heads with the highest induction scores, the highest first."""
    scores = induction_scores(model, key=key)
    _, flat = jax.lax.top_k(scores.ravel(), number)
    return flat // scores.shape[1], flat % scores.shape[1]
