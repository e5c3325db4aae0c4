"""The value some positions away, and whether there is one."""

from typing import Any, NamedTuple

from ._program import rasp


class Neighbour(NamedTuple):
    """A neighbour of every position, as RASP expressions.

    Args:
        value: The neighbour's value, or the position's own where there is none, since
            RASP has no answer to a comparison with nothing.
        exists: 1 where there is a neighbour, else 0.
    """

    value: Any
    exists: Any


def neighbour(step: int) -> Neighbour:
    """The neighbour `step` positions to the right, or to the left if negative.

    Whether there is one to the left follows from the position; to the right, a head
    counts the positions that are `step` further on, of which there is one or none.
    """
    language = rasp()
    indices, name = language.indices, f"{step:+d}"
    if step < 0:
        exists = language.Map(lambda i: int(i + step >= 0), indices)
        # Itself where there is none: a head that selects nothing attends to BOS.
        target = language.Map(lambda i: i + step if i + step >= 0 else i, indices)
    else:
        further = language.Select(indices, indices, lambda k, q: k == q + step)
        exists = language.SelectorWidth(further)
        target = language.SequenceMap(lambda i, e: i + step * e, indices, exists)
    exists, target = exists.named(f"exists{name}"), target.named(f"target{name}")
    there = language.Select(indices, target, language.Comparison.EQ)
    value = language.Aggregate(there, language.tokens).named(f"value{name}")
    return Neighbour(value, exists)
