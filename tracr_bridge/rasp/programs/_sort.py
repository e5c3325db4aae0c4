"""Sorting: of distinct tokens, of any, and by frequency."""

from typing import Any

import numpy as np

from ._program import ProgramSpec, library, rasp

LENGTH = 8


def sort_unique() -> Any:
    """Tokens in ascending order, if they are distinct."""
    tokens = rasp().tokens
    return library().make_sort_unique(tokens, tokens)


def sort(max_seq_len: int = LENGTH) -> Any:
    """Tokens in ascending order; equal ones keep theirs.

    Args:
        max_seq_len: Longest sequence; ties are broken by position relative to it.
    """
    tokens = rasp().tokens
    return library().make_sort(tokens, tokens, max_seq_len=max_seq_len, min_key=1)


def sort_by_frequency(max_seq_len: int = 5) -> Any:
    """Tokens in descending order of how often they occur; ties keep their order.

    Args:
        max_seq_len: Longest sequence.
    """
    return library().make_sort_freq(max_seq_len)


def _by_frequency(tokens: list[Any]) -> list[Any]:
    return sorted(tokens, key=lambda token: -tokens.count(token))


def _distinct(rng: np.random.Generator, vocab: tuple, length: int) -> list[Any]:
    """Distinct tokens."""
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
