"""Histogram: how often each token occurs."""

from typing import Any

from ._program import ProgramSpec, library


def histogram() -> Any:
    """How many tokens are equal to the one at each position."""
    return library().make_hist()


def _reference(tokens: list[Any]) -> list[int]:
    return [tokens.count(token) for token in tokens]


SPEC = ProgramSpec(
    name="histogram",
    summary="how often the token at each position occurs",
    build=histogram,
    reference=_reference,
    vocab=("a", "b", "c", "d", "e"),
    max_seq_len=10,
    kind=lambda tokens: max(_reference(tokens)),
)
