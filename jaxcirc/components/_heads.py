"""Heads told apart by what they attend to."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Int, Key

from ..metrics import induction_score
from ..models import Transformer, capture


def default_periods(n_ctx: int) -> tuple[int, ...]:
    """The longest block that fits a context twice behind one token.

    Olsson et al. (2022) measure heads on such sequences. A length of less than two
    tokens is not left out, which `check_periods` refuses.

    Args:
        n_ctx: Longest sequence of the model, in tokens.

    Returns:
        One length, in tokens: (n_ctx - 1) / 2, rounded down.

    Example:
        >>> default_periods(9)  # 1 + 2 * 4
        (4,)
    """
    return ((n_ctx - 1) // 2,)


def check_periods(periods: Sequence[int], n_ctx: int, *, who: str) -> None:
    """Refuse blocks that do not fit a context twice behind one token.

    A block of one token is refused too: the token after it is the token itself, so
    attention to either cannot be told apart.

    Args:
        periods: Lengths of the blocks, in tokens.
        n_ctx: Longest sequence of the model, in tokens.
        who: The function that was asked, for the message.

    Raises:
        ValueError: there are no blocks, or one has less than two tokens or is too long.

    Example:
        >>> check_periods([2, 4], 9, who="example")
        >>> check_periods([5], 9, who="example")
        Traceback (most recent call last):
        ...
        ValueError: example: blocks of [5] tokens must each have at least 2, and fit ...
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

    Nothing but the repetition predicts the second copy, so a head that attends to what
    followed a token the first time does so by induction (Olsson et al. 2022). Tokens
    are uniform in [0, d_vocab), and may occur several times within `r`.

    Args:
        d_vocab: Ids to draw from.
        n_ctx: Longest sequence of the model, in tokens.
        n: How many sequences.
        key: Random key of the draw.
        period: Length of `r`; as long as fits the context twice if None.

    Returns:
        Sequences of 1 + 2 `period` tokens, and `period`.

    Example:
        >>> import jax.random as jr
        >>> tokens, period = repeated_tokens(10, 9, 3, jr.key(0))
        >>> tokens.shape, period, bool((tokens[:, 1:5] == tokens[:, 5:]).all())
        ((3, 9), 4, True)
    """
    period = default_periods(n_ctx)[0] if period is None else period
    # The token in front gives the first of `r` a predecessor, as every later one has.
    random = jr.randint(key, (n, period + 1), 0, d_vocab)
    return jnp.concatenate([random, random[:, 1:]], axis=1), period


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
