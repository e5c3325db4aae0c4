"""Heads told apart by what they attend to."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ..metrics import induction_score
from ..models import Transformer, capture
from ..tasks import check_periods, default_periods, repeated_tokens


def repeated_patterns(
    model: Transformer, n: int, key: Key[Array, ""], *, period: int | None = None
) -> tuple[Float[Array, "layer sequence head query_pos key_pos"], int]:
    """Attention of every head on random tokens that repeat.

    Rows are queries and sum to 1. The sequences are those of `repeated_tokens`.

    Args:
        model: The model whose heads are measured.
        n: How many sequences.
        key: Random key of the sequences.
        period: Length of the block that repeats; the longest that fits if None.

    Returns:
        The patterns, and the length of the block.

    Raises:
        ValueError: learned positions do not reach as far as the sequences do.

    Example:
        >>> import equinox as eqx, jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> patterns, period = eqx.filter_jit(repeated_patterns)(model, 2, jr.key(1))
        >>> patterns.shape, period
        ((1, 2, 2, 7, 7), 3)
    """
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

    The score is the mean attention of the second copy to the token after the same one
    in the first (`metrics.induction_score`). Attention that is uniform over n earlier
    positions gives 1 / n. A head that learnt from short blocks may be at chance on
    long ones: give the lengths that the model was trained on.

    Args:
        model: Whose heads; its context must hold a block of two tokens twice.
        n_sequences: Random sequences to average over, of each length.
        periods: Lengths of the block that repeats, over which scores are averaged; the
            longest that fits the context twice if none.
        key: Random key of the sequences.

    Raises:
        ValueError: a block does not fit the context twice.

    Example:
        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> where = lambda m: m.blocks.attn.W_Q
        >>> even = eqx.tree_at(where, model, replace_fn=jnp.zeros_like)
        >>> find = eqx.filter_jit(induction_scores)
        >>> scores = find(even, n_sequences=1, key=jr.key(1))
        >>> [round(s, 4) for s in scores[0].tolist()]  # (1/5 + 1/6 + 1/7) / 3
        [0.1698, 0.1698]
    """
    n_ctx = model.config.n_ctx
    periods = tuple(periods) or default_periods(n_ctx)
    check_periods(periods, n_ctx, who="induction_scores")
    scores = []
    for period in periods:
        pattern, _ = repeated_patterns(model, n_sequences, key, period=period)
        # Bound now: a lambda would otherwise see the last length of the loop.
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

    Heads of all layers compete. Among equal scores the earlier layer and head comes
    first. That a head is on the list does not make it an induction head: look at
    `induction_scores` too, since the list always has `number` entries.

    Args:
        model: The model whose heads are measured.
        number: How many heads to name, at most all of them.
        periods: Lengths of the block that repeats; see `induction_scores`.
        key: Random key of the random sequences.

    Returns:
        The layer and, beside it, the head within that layer, each by rank.

    Raises:
        ValueError: a block does not fit the context twice.

    Example:
        >>> import equinox as eqx, jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> layers, heads = eqx.filter_jit(induction_heads)(model, 2, key=jr.key(1))
        >>> layers.tolist(), sorted(heads.tolist())
        ([0, 0], [0, 1])
    """
    scores = induction_scores(model, periods=periods, key=key)
    _, flat = jax.lax.top_k(scores.ravel(), number)
    return flat // scores.shape[1], flat % scores.shape[1]
