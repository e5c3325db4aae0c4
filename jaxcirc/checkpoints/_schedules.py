"""Named checkpoint schedules, with the exact steps that Pythia's users know."""

from collections.abc import Sequence

from .._core import unknown

_POWERS = tuple(2**i for i in range(10))


def _all(last: int, every: int) -> Sequence[int]:
    return (0, *_POWERS, *range(every, last + 1, every))


def _linear(last: int, every: int) -> Sequence[int]:
    return range(every, last + 1, every)


def _exponential(_: int, every: int) -> Sequence[int]:
    # Doubling from 1,000 on, at the checkpoint that was published nearest to each:
    # the published series calls 32,768 "33000", and so on.
    thousands = (1, 2, 4, 8, 16, 33, 66, 131)
    return (*_POWERS, *(every * n for n in thousands))


def _exponential_plus_detail(_: int, every: int) -> Sequence[int]:
    return (
        *_POWERS,
        *(every * n for n in range(1, 16)),
        *(every * n for n in range(15, 66, 5)),
        *(every * n for n in range(70, 141, 10)),
    )


_STEPS = {
    "all": _all,
    "linear": _linear,
    "exponential": _exponential,
    "exponential_plus_detail": _exponential_plus_detail,
}
SCHEDULES = tuple(_STEPS)


def schedule(name: str, last: int, *, every: int = 1000) -> tuple[int, ...]:
    """The steps of a named schedule up to `last`, ascending; `last` is always one.

    Early training changes fast, so most schedules are dense at its beginning. With the
    default of `every`, they are those at which the Pythia models were published.

    Args:
        name: `all` (0, powers of two to 512, then every `every`), `linear` (every
            `every`), `exponential` (powers of two to 512, then doubling) or
            `exponential_plus_detail` (as `exponential`, denser in between).
        last: The final step of the run.
        every: Steps between the regular checkpoints; 1000 gives Pythia's own.

    Returns:
        Steps, each once.

    Raises:
        ValueError: an unknown name, or `every` or `last` not positive.

    Example:
        >>> from jaxcirc.checkpoints import schedule
        >>> len(schedule("all", 143_000)), schedule("exponential", 1500)[-3:]
        (154, (512, 1000, 1500))
    """
    if name not in _STEPS:
        raise ValueError(unknown("schedule", name, SCHEDULES))
    if every < 1 or last < 1:
        raise ValueError(
            f"schedule: `every` and `last` must be at least 1; got {every} and {last}."
        )
    steps = {step for step in _STEPS[name](last, every) if step <= last}
    return tuple(sorted(steps | {last}))
