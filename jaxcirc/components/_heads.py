"""Heads told apart by what they attend to."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Key

from ..metrics import induction_score
from ..models import Transformer, capture


def default_periods(n_ctx: int) -> tuple[int, ...]:
    """The longest block that fits a context twice behind one token (Olsson et al.)."""
    return ((n_ctx - 1) // 2,)


def check_periods(periods: Sequence[int], n_ctx: int, *, who: str) -> None:
    """Refuse blocks that do not fit a context twice.

    Raises:
        ValueError: there are none, or one of less than two tokens or too long.
    """
    longest = default_periods(n_ctx)[0]
    if not periods or not all(2 <= period <= longest for period in periods):
        raise ValueError(
            f"{who}: blocks of {list(periods)} tokens must each have at least 2, and "
            f"fit the context of {n_ctx} twice behind one token: at most {longest}."
        )


def repeated_tokens(
    d_vocab: int,
    n_ctx: int,
    n: int,
    key: Key[Array, ""],
    *,
    period: int | None = None,
) -> tuple[Int[Array, "sequence pos"], int]:
    """`[x] + r + r`: random tokens twice behind one more, and the length of `r`.

    Without `period`, `r` is as long as fits the context twice (Olsson et al. 2022).
    """
    period = default_periods(n_ctx)[0] if period is None else period
    random = jr.randint(key, (n, period + 1), 0, d_vocab)
    return jnp.concatenate([random, random[:, 1:]], axis=1), period


def repeated_patterns(
    model: Transformer, n: int, key: Key[Array, ""], *, period: int | None = None
) -> tuple[Float[Array, "layer sequence head query_pos key_pos"], int]:
    """Attention on random tokens that repeat, and the length of what repeats."""
    c = model.config
    tokens, period = repeated_tokens(c.d_vocab, c.n_ctx, n, key, period=period)
    return capture(model, tokens, ("attn.pattern",))[1]["attn.pattern"], period


def induction_scores(
    model: Transformer,
    *,
    n_sequences: int = 16,
    periods: Sequence[int] = (),
    key: Key[Array, ""],
) -> Float[Array, "layer head"]:
    """Induction score of every head on random tokens that repeat, in [0, 1].

    A head that learnt from short blocks may be at chance on long ones: give the lengths
    that the model was trained on.

    Args:
        model: Whose heads; its context must hold a block of two tokens twice.
        n_sequences: Random sequences to average over, of each length.
        periods: Lengths of the block that repeats, over which scores are averaged; the
            longest that fits the context twice if none.
        key: Of the sequences.

    Raises:
        ValueError: a block does not fit the context twice.
    """
    n_ctx = model.config.n_ctx
    periods = tuple(periods) or default_periods(n_ctx)
    check_periods(periods, n_ctx, who="induction_scores")
    scores = []
    for period in periods:
        pattern, _ = repeated_patterns(model, n_sequences, key, period=period)
        score = lambda p, period=period: induction_score(p, period=period)
        scores.append(jax.vmap(jax.vmap(jax.vmap(score)))(pattern).mean(axis=1))
    return jnp.stack(scores).mean(axis=0)


def induction_heads(
    model: Transformer,
    number: int,
    *,
    periods: Sequence[int] = (),
    key: Key[Array, ""],
) -> tuple[Int[Array, " rank"], Int[Array, " rank"]]:
    """Layers and heads with the highest induction scores, the highest first.

    See `induction_scores` for `periods`.
    """
    scores = induction_scores(model, periods=periods, key=key)
    _, flat = jax.lax.top_k(scores.ravel(), number)
    return flat // scores.shape[1], flat % scores.shape[1]
