"""Triplets: how many rising pairs each value closes."""

from typing import Any

from ._program import ProgramSpec, rasp


def triplets() -> Any:
    """The positions before each one, times the smaller values anywhere.

    This is the number of ways to choose an earlier position and a position with a
    smaller value, from 0 to (length - 1)². Two heads of one layer find the two counts,
    and an MLP multiplies them, with a hidden unit for every pair of counts. The first
    position and the smallest values have the answer 0.

    Returns:
        A RASP expression for `compile`; called with a list of tokens, it says what the
        interpreter says.

    Raises:
        ImportError: tracr is not installed.

    Example:
        Position 2 has two positions before it and one smaller value, the "a".

        >>> from tracr_bridge.rasp import programs
        >>> programs.triplets()(list("acb"))
        [0, 2, 2]
    """
    language = rasp()
    before = language.SelectorWidth(
        language.Select(language.indices, language.indices, language.Comparison.LT)
    ).named("before")
    smaller = language.SelectorWidth(
        language.Select(language.tokens, language.tokens, language.Comparison.LT)
    ).named("smaller")
    return language.SequenceMap(lambda a, b: a * b, before, smaller).named("triplets")


def _reference(tokens: list[Any]) -> list[int]:
    """The position times how many tokens are smaller."""
    return [i * sum(other < t for other in tokens) for i, t in enumerate(tokens)]


SPEC = ProgramSpec(
    name="triplets",
    summary="values before times smaller values, at each position",
    build=triplets,
    reference=_reference,
    vocab=("a", "b", "c", "d", "e"),
    max_seq_len=10,
)
