"""Sorting: of distinct tokens, of any, and by frequency."""

from typing import Any

import numpy as np

from ._program import ProgramSpec, library, rasp

LENGTH = 8


def sort_unique() -> Any:
    """Tokens in ascending order, if they are distinct.

    A head attends to all smaller tokens, and an MLP reads off how many there are, which
    is where a token belongs; the next layer fetches it from there (Weiss et al. 2021).
    With repeated tokens two of them belong to one place and another place is empty, so
    the answer is not a sort; `sort` takes these.

    Returns:
        A RASP expression for `compile`; called with a list of numbers, it says what the
        interpreter says. Compiled, it has 2 layers with one head.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.sort_unique()([3, 1, 2])
        [1, 2, 3]
    """
    tokens = rasp().tokens
    return library().make_sort_unique(tokens, tokens)


def sort(max_seq_len: int = LENGTH) -> Any:
    """Tokens in ascending order; equal tokens keep the order that they have.

    Ties are broken before the sort of distinct keys: position / `max_seq_len` is added
    to each value, which is less than 1, so tokens must be whole numbers. The MLP that
    does so has a hidden unit for every pair of value and position.

    Args:
        max_seq_len: Number of tokens of the longest sequence. A longer one may mix up
            values that differ by 1.

    Returns:
        A RASP expression for `compile`; called with a list of numbers, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.sort()([3, 1, 2, 1])
        [1, 1, 2, 3]
    """
    tokens = rasp().tokens
    # Values differ by 1 at least, so ties are broken by less than 1.
    return library().make_sort(tokens, tokens, max_seq_len=max_seq_len, min_key=1)


def sort_by_frequency(max_seq_len: int = 5) -> Any:
    """Tokens in descending order of how often they occur.

    Each token stands as often as it occurs, and tokens that occur equally often keep
    the order that they have. The program counts each token as `histogram` does and
    sorts by the negative count as `sort` does, with position / `max_seq_len` to break
    ties.

    Args:
        max_seq_len: Number of tokens of the longest sequence. A longer one may mix up
            counts that differ by 1.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.sort_by_frequency()([2, 4, 1, 4])
        [4, 4, 2, 1]
    """
    return library().make_sort_freq(max_seq_len)


def _by_frequency(tokens: list[Any]) -> list[Any]:
    """Tokens by how often they occur; Python's sort keeps ties in order."""
    return sorted(tokens, key=lambda token: -tokens.count(token))


def _distinct(rng: np.random.Generator, vocab: tuple, length: int) -> list[Any]:
    """A random order of distinct tokens."""
    return [vocab[i] for i in rng.permutation(len(vocab))[:length]]


UNIQUE = ProgramSpec(
    name="sort_unique",
    summary="distinct tokens in ascending order",
    build=sort_unique,
    reference=sorted,
    vocab=(1, 2, 3, 4, 5, 6, 7),
    max_seq_len=6,
    valid=lambda tokens: len(set(tokens)) == len(tokens),
    draw=_distinct,
)
SPEC = ProgramSpec(
    name="sort",
    summary="tokens in ascending order",
    build=sort,
    reference=sorted,
    vocab=(1, 2, 3, 4, 5),
    max_seq_len=LENGTH,
    kind=lambda tokens: len(set(tokens)),
)
BY_FREQUENCY = ProgramSpec(
    name="sort_by_frequency",
    summary="tokens by how often they occur, most frequent first",
    build=sort_by_frequency,
    reference=_by_frequency,
    vocab=(1, 2, 3, 4),
    max_seq_len=5,
    kind=lambda tokens: len(set(tokens)),
)
