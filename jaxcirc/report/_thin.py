"""Fewer checkpoints, where all of them would make the page too heavy."""

from ._results import step_text


def thinned(number: int, each: int, budget: int) -> list[int]:
    """Places of equally large things that fit into a budget, evenly spaced.

    Args:
        number: How many there are.
        each: Bytes of one.
        budget: Bytes for all.

    Returns:
        Their places in order. The last is always one of them: what a page shows first
        is the end of training.

    Example:
        >>> thinned(10, each=100, budget=350)
        [1, 5, 9]
    """
    room = max(1, budget // max(each, 1))
    keep_every = max(1, -(-number // room))
    # Counted from the end, so that the last is kept.
    return list(range(number))[::-1][::keep_every][::-1]


def thinned_text(kept: int, number: int) -> str:
    """A sentence on what was left out, with a blank before it; empty if nothing was.

    Args:
        kept: Checkpoints that the page holds.
        number: Checkpoints that there are.
    """
    if kept == number:
        return ""
    return (
        f" To keep the page light, it holds {step_text(kept)} of {step_text(number)} "
        "checkpoints; the run's folder has all."
    )
