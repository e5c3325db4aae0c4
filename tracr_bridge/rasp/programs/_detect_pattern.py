"""Pattern detection: where "abc" ends."""

from typing import Any

from ._program import ProgramSpec, library, rasp


def detect_pattern(pattern: str = "abc") -> Any:
    """Whether a pattern ends at each position: `True` or `False`.

    The first `len(pattern) - 1` positions have no answer, since nothing can end there:
    the interpreter says `None`, and neither training nor checks count them. Each
    earlier letter of the pattern takes one head, which looks back by a fixed distance,
    so the program works under causal attention too.

    Args:
        pattern: The tokens to look for, in order; at least one. The catalogue's row
            looks for "abc".

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.
        ValueError: the pattern is empty.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.detect_pattern("ab")(list("abcab"))
        [None, True, False, False, True]
    """
    return library().detect_pattern(rasp().tokens, pattern)


def _reference(tokens: list[Any]) -> list[Any]:
    """Whether "abc" ends at each position; None where it would begin too early."""
    ends = [tokens[max(i - 2, 0) : i + 1] == list("abc") for i in range(len(tokens))]
    return [None if i < 2 else end for i, end in enumerate(ends)]


SPEC = ProgramSpec(
    name="detect_pattern",
    summary="where the pattern abc ends",
    build=detect_pattern,
    reference=_reference,
    vocab=("a", "b", "c"),
    max_seq_len=6,
    # Of random sequences, one in seven holds the pattern.
    kind=lambda tokens: "".join(tokens).count("abc"),
)
