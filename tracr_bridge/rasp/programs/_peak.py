"""Peak: which values are above both their neighbours."""

from typing import Any

from ._neighbour import neighbour
from ._program import ProgramSpec, rasp


def peak() -> Any:
    """Whether each value exceeds those on both sides; beyond the ends there is nothing.

    One head takes each neighbour's value, and another finds where the right one is
    missing.
    """
    language = rasp()
    sides = []
    for step in (-1, 1):
        value, exists = neighbour(step)
        above = language.SequenceMap(lambda a, b: a > b, language.tokens, value)
        alone = language.SequenceMap(lambda up, e: up or not e, above, exists)
        sides.append(alone.named(f"above{step:+d}"))
    return language.SequenceMap(lambda a, b: a and b, *sides).named("peak")


def _reference(values: list[Any]) -> list[bool]:
    padded = [float("-inf"), *values, float("-inf")]
    return [
        padded[i] > padded[i - 1] and padded[i] > padded[i + 1]
        for i in range(1, len(padded) - 1)
    ]


SPEC = ProgramSpec(
    name="peak",
    summary="which values are above both their neighbours",
    build=peak,
    reference=_reference,
    vocab=(0, 1, 2, 3, 4),
    max_seq_len=10,
    kind=lambda tokens: sum(_reference(tokens)),
)
