"""Reverse: the sequence backwards."""

from typing import Any

from ._program import ProgramSpec, library, rasp


def reverse() -> Any:
    """Tokens in the opposite order."""
    return library().make_reverse(rasp().tokens)


SPEC = ProgramSpec(
    name="reverse",
    summary="tokens in the opposite order",
    build=reverse,
    reference=lambda tokens: tokens[::-1],
    vocab=("a", "b", "c", "d", "e"),
    max_seq_len=10,
)
