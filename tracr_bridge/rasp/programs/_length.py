"""Length: how many tokens there are."""

from typing import Any

from ._program import ProgramSpec, library


def length() -> Any:
    """The number of tokens, at every position."""
    return library().make_length()


def _reference(tokens: list[Any]) -> list[int]:
    return [len(tokens)] * len(tokens)


SPEC = ProgramSpec(
    name="length",
    summary="how many tokens there are",
    build=length,
    reference=_reference,
    vocab=("a", "b"),
    max_seq_len=8,
)
