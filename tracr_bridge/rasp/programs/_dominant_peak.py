"""Dominant peak: a peak that stands out by two, with no rise near it."""

from typing import Any

from ._neighbour import neighbour
from ._program import ProgramSpec, rasp


def dominant_peak() -> Any:
    """Whether a value is at least 2 above its neighbours, which fall off further.

    On each side the neighbour must be lower by at least 2, and the value beyond it no
    higher than the neighbour. Beyond the ends of the sequence there is nothing, which
    stands in no value's way. Answers are `True` or `False`, one for each position, and
    adding one number to all values changes none of them.

    Returns:
        A RASP expression for `compile`; called with a list of numbers, it says what the
        interpreter says. Compiled for values 0 to 6 and 10 positions, it has 8 layers.

    Raises:
        ImportError: tracr is not installed.

    Example:
        The first 4 is only 1 above its right neighbour, and the second stands clear.

        >>> from tracr_bridge.rasp import programs
        >>> programs.dominant_peak()([1, 4, 3, 0, 1, 4, 2])
        [False, False, False, False, False, True, False]
    """
    language = rasp()
    sides = []
    for step in (-1, 1):
        near, near_exists = neighbour(step)
        far, far_exists = neighbour(2 * step)
        drops = language.SequenceMap(lambda a, b: a - b >= 2, language.tokens, near)
        falls = language.SequenceMap(lambda a, b: b <= a, near, far)
        falls = language.SequenceMap(lambda down, e: down or not e, falls, far_exists)
        both = language.SequenceMap(lambda a, b: a and b, drops, falls)
        side = language.SequenceMap(lambda ok, e: ok or not e, both, near_exists)
        # Names become labels of directions, by which the sides are told apart.
        sides.append(side.named(f"clear{step:+d}"))
    return language.SequenceMap(lambda a, b: a and b, *sides).named("dominant_peak")


def _reference(values: list[Any]) -> list[bool]:
    def at(i: int) -> Any:
        return values[i] if 0 <= i < len(values) else None

    def side(i: int, step: int) -> bool:
        near, far = at(i + step), at(i + 2 * step)
        if near is None:
            return True
        return values[i] - near >= 2 and (far is None or far <= near)

    return [side(i, -1) and side(i, 1) for i in range(len(values))]


SPEC = ProgramSpec(
    name="dominant_peak",
    summary="values at least 2 above their neighbours, with no rise near them",
    build=dominant_peak,
    reference=_reference,
    vocab=(0, 1, 2, 3, 4, 5, 6),
    max_seq_len=10,
    kind=lambda tokens: sum(_reference(tokens)),
)
