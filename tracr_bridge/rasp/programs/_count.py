"""Counting: of one token, and of rare ones."""

from typing import Any

from ._program import ProgramSpec, library, rasp


def count() -> Any:
    """How many tokens are "a", at every position: a whole number from 0 to the length.

    A head selects every "a", and an MLP reads off how many it has selected. The order
    of tokens does not matter, and all positions have the same answer. Compiled, it is
    one layer with one head, exact up to the length that it was compiled for.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.count()(list("abca"))
        [2, 2, 2, 2]
    """
    return library().make_count(rasp().tokens, "a")


def count_less_frequent() -> Any:
    """How many tokens occur at most twice, at every position: from 0 to the length.

    The first layer counts how often each token occurs, the second selects positions
    whose count is at most 2 and counts these. The order of tokens does not matter, and
    all positions have the same answer.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.

    Example:
        The three "a" are too many; both "b" and the "c" are counted.

        >>> from tracr_bridge.rasp import programs
        >>> programs.count_less_frequent()(list("aaabbc"))
        [3, 3, 3, 3, 3, 3]
    """
    return library().make_count_less_freq(2)


def _rare(tokens: list[Any]) -> list[int]:
    """How many tokens occur at most twice, once for every position."""
    return [sum(tokens.count(t) <= 2 for t in tokens)] * len(tokens)


SPEC = ProgramSpec(
    name="count",
    summary="how many tokens are a",
    build=count,
    reference=lambda tokens: [tokens.count("a")] * len(tokens),
    vocab=("a", "b", "c"),
    max_seq_len=8,
    # Of random sequences nearly all have a middling count.
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
