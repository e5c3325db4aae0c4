"""Triplets: how many rising pairs each value closes."""

from typing import Any

from ._program import ProgramSpec, rasp


def triplets() -> Any:
    """(values before) × (smaller values anywhere), for each position.

    The number of ways to choose an earlier position and a smaller value: the two counts
    come from two heads, and an MLP multiplies them.
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
    return [i * sum(other < t for other in tokens) for i, t in enumerate(tokens)]


SPEC = ProgramSpec(
    name="triplets",
    summary="values before times smaller values, at each position",
    build=triplets,
    reference=_reference,
    vocab=("a", "b", "c", "d", "e"),
    max_seq_len=10,
)
