"""What a head attends to, read off its attention pattern."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import at_least_float32, entropy_terms


@jax.jit
def attention_entropy(
    pattern: Float[Array, "query_pos key_pos"],
) -> Float[Array, ""]:
    """How widely a head spreads its attention: mean entropy of its rows, in nats.

    In [0, log(number of keys)]: 0 if every position attends to one, the largest if to
    all alike; uniform causal attention gives the mean of log(i + 1). Rows are taken as
    they are: one that does not sum to 1 is no distribution.

    Args:
        pattern: What each query attends to, row by row.

    Example:
        >>> import jax.numpy as jnp
        >>> float(attention_entropy(jnp.eye(4)))
        0.0
    """
    wide = at_least_float32(pattern)
    # Masked keys are ordinary: zeros have no entropy, and no slope.
    return entropy_terms(wide).sum(axis=-1).mean()


@jax.jit
def attention_distance(
    pattern: Float[Array, "query_pos key_pos"],
) -> Float[Array, ""]:
    """How far back a head looks: mean over rows of Σ A (query - key), in positions.

    Negative where it looks ahead; 0 if every position attends to itself, half of the
    position's number for uniform causal attention. Attention to the first position,
    where many heads rest, makes it grow with the length of the sequence.

    Args:
        pattern: What each query attends to, row by row.

    Example:
        >>> import jax.numpy as jnp
        >>> float(attention_distance(jnp.array([[1.0, 0.0], [0.5, 0.5]])))
        0.25
    """
    wide = at_least_float32(pattern)
    query, key = (jnp.arange(n, dtype=wide.dtype) for n in pattern.shape)
    return (wide * (query[:, None] - key[None, :])).sum(axis=-1).mean()


@jax.jit
def pattern_divergence(
    pattern: Float[Array, "query_pos key_pos"],
    other: Float[Array, "query_pos key_pos"],
) -> Float[Array, ""]:
    """How differently two heads attend: Jensen-Shannon divergence of rows, in nats.

    JS(p, q) = H((p + q) / 2) - (H(p) + H(q)) / 2, averaged over queries. In [0, ln 2]:
    0 for equal patterns, ln 2 if no query gives any key attention in both. Unchanged by
    exchanging the two. It is finite where KL divergences are not, since masked and
    unused keys are ordinary (Lin 1991, eq. 3.14).

    Args:
        pattern: What each query attends to, row by row; rows sum to 1.
        other: The same of the other head, or of the same head at another time.

    Example:
        >>> import jax.numpy as jnp
        >>> apart = pattern_divergence(jnp.eye(2), jnp.eye(2)[::-1])
        >>> round(float(apart / jnp.log(2)), 4), float(
        ...     pattern_divergence(jnp.eye(2), jnp.eye(2))
        ... )
        (1.0, 0.0)
    """
    p, q = at_least_float32(pattern), at_least_float32(other)
    entropy = lambda rows: entropy_terms(rows).sum(axis=-1)
    apart = entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2
    # Rounding takes equal rows below 0, where there is no divergence.
    return jnp.maximum(apart, 0).mean()


@jax.jit
def previous_token_score(
    pattern: Float[Array, "query_pos key_pos"],
) -> Float[Array, ""]:
    """Mean attention to the position just before, in [0, 1] (Olsson et al. 2022).

    The mean is over all positions but the first, which has none before it. Uniform
    causal attention gives the mean of 1 / (i + 1).

    Args:
        pattern: What each query attends to, row by row; at least two.

    Raises:
        ValueError: the pattern has one position alone.

    Example:
        >>> import jax.numpy as jnp
        >>> float(previous_token_score(jnp.eye(4, k=-1)))
        1.0
    """
    return _diagonal(pattern, back=1, first=1)


@functools.partial(jax.jit, static_argnames="period")
def duplicate_token_score(
    pattern: Float[Array, "query_pos key_pos"], *, period: int
) -> Float[Array, ""]:
    """Mean attention to the same token one period ago, in [0, 1].

    For a pattern on `[BOS] + r + r`, with `r` of length `period`; the mean is over the
    second copy (Olsson et al. 2022). Uniform causal attention gives the mean of
    1 / (i + 1) there.

    Args:
        pattern: What each query attends to, row by row.
        period: Positions from a token to its copy.

    Raises:
        ValueError: the pattern does not hold the block twice.

    Example:
        >>> import jax.numpy as jnp
        >>> float(duplicate_token_score(jnp.eye(7, k=-3), period=3))
        1.0
    """
    return _diagonal(pattern, back=period, first=pattern.shape[-1] - period)


@functools.partial(jax.jit, static_argnames="period")
def induction_score(
    pattern: Float[Array, "query_pos key_pos"], *, period: int
) -> Float[Array, ""]:
    """Mean attention to the token after the same token one period ago, in [0, 1].

    For a pattern on `[BOS] + r + r`, with `r` of length `period`; the mean is over the
    second copy (Olsson et al. 2022, "prefix matching"). A perfect induction head has 1;
    uniform causal attention the mean of 1 / (i + 1).

    Args:
        pattern: What each query attends to, row by row.
        period: Positions from a token to its copy.

    Raises:
        ValueError: the pattern does not hold the block twice.

    Example:
        >>> import jax.numpy as jnp
        >>> pattern = jnp.eye(6, k=-2)  # every position looks two back
        >>> float(induction_score(pattern, period=3))
        1.0
    """
    return _diagonal(pattern, back=period - 1, first=pattern.shape[-1] - period)


def _diagonal(pattern: Array, *, back: int, first: int) -> Array:
    if not 0 <= back <= first < pattern.shape[-2]:
        raise ValueError(
            f"attention scores: a pattern of {pattern.shape[-2]} positions has no two "
            f"blocks whose tokens lie {back} apart; give a shorter `period`."
        )
    # Earlier rows have no copy behind them, and would only dilute the mean.
    rows = jnp.arange(first, pattern.shape[-2])
    return at_least_float32(pattern[rows, rows - back]).mean()


@functools.partial(jax.jit, static_argnames=("early", "late"))
def in_context_score(
    losses: Float[Array, "*example pos"], *, early: int, late: int
) -> Float[Array, ""]:
    """Mean loss at a late position minus that at an early one, in nats.

    Negative where context helps, 0 for a model that does not use it. Olsson et al.
    (2022) take positions 49 and 499, counted from 0. It needs many examples: single
    tokens differ in loss by far more than context explains.

    Args:
        losses: Loss of each token, in nats.
        early: The earlier position; from the end if negative.
        late: The later one; from the end if negative.

    Raises:
        ValueError: there is no such position.

    Example:
        >>> import jax.numpy as jnp
        >>> float(in_context_score(jnp.array([3.0, 2.0, 1.0]), early=0, late=2))
        -2.0
    """
    length = losses.shape[-1]
    if not (-length <= early < length and -length <= late < length):
        raise ValueError(
            f"in_context_score: positions {early} and {late} must be inside sequences "
            f"of {length} losses."
        )
    wide = at_least_float32(losses)
    return (wide[..., late] - wide[..., early]).mean()
