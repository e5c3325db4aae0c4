"""Pattern detection: where "abc" ends."""

from typing import Any

from ._program import ProgramSpec, library, rasp


def detect_pattern(pattern: str = "abc") -> Any:
    """Whether a pattern ends at each position; nothing before it can.

    Args:
        pattern: What to look for.
    """
    return library().detect_pattern(rasp().tokens, pattern)


def _reference(tokens: list[Any]) -> list[Any]:
    ends = [tokens[max(i - 2, 0) : i + 1] == list("abc") for i in range(len(tokens))]
    return [None if i < 2 else end for i, end in enumerate(ends)]


SPEC = ProgramSpec(
    name="detect_pattern",
    summary="where the pattern abc ends",
    build=detect_pattern,
    reference=_reference,
    vocab=("a", "b", "c"),
    max_seq_len=6,
    kind=lambda tokens: "".join(tokens).count("abc"),
)
