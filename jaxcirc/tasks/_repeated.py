"""Random tokens that repeat, on which heads show what they attend to."""

from collections.abc import Sequence

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Int, Key


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
