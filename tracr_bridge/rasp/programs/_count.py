"""Counting: of one token, and of rare ones."""

from typing import Any

from ._program import ProgramSpec, library, rasp


def count() -> Any:
    """How many tokens are "a", at every position."""
    return library().make_count(rasp().tokens, "a")


def count_less_frequent() -> Any:
    """How many tokens occur at most twice, at every position."""
    return library().make_count_less_freq(2)


def _rare(tokens: list[Any]) -> list[int]:
    return [sum(tokens.count(t) <= 2 for t in tokens)] * len(tokens)


SPEC = ProgramSpec(
    name="count",
    summary="how many tokens are a",
    build=count,
    reference=lambda tokens: [tokens.count("a")] * len(tokens),
    vocab=("a", "b", "c"),
    max_seq_len=8,
    kind=lambda tokens: tokens.count("a"),
)
LESS_FREQUENT = ProgramSpec(
    name="count_less_frequent",
    summary="how many tokens occur at most twice",
    build=count_less_frequent,
    reference=_rare,
    vocab=("a", "b", "c"),
    max_seq_len=6,
    kind=lambda tokens: _rare(tokens)[0],
)
