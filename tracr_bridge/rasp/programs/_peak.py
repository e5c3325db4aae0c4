"""Peak: which values are above both their neighbours."""

from typing import Any

from ._neighbour import neighbour
from ._program import ProgramSpec, rasp


def peak() -> Any:
    """Whether each value exceeds those on both sides: `True` or `False`.

    Beyond the ends there is nothing, so the first and the last value need to exceed one
    neighbour only, and of two equal neighbours neither is a peak. Heads fetch each
    neighbour's value, and another one finds where the right neighbour is missing; the
    comparisons are MLPs. Adding one number to all values changes no answer.

    Returns:
        A RASP expression for `compile`; called with a list of numbers, it says what the
        interpreter says. Compiled for values 0 to 4 and 10 positions, it has 6 layers.

    Raises:
        ImportError: tracr is not installed.

    Example:
        >>> from tracr_bridge.rasp import programs
        >>> programs.peak()([0, 2, 1, 1, 3])
        [False, True, False, False, True]
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
    """Which values are above both their neighbours, the ends being bounded by -inf."""
    # Beyond the ends stands what every value exceeds.
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
