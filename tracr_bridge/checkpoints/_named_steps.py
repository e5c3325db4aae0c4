"""Which of the names in a place are checkpoints, and at which step."""

import warnings
from collections.abc import Mapping, Sequence

from jaxcirc._core import unknown

from ._steps import steps_of


def named_steps(
    source: str,
    there: Sequence[str],
    own: Sequence[str],
    given: Mapping[int, str] | None,
    pattern: str | None,
) -> Mapping[int, str]:
    """Step -> name, as a user gave it or as names tell it.

    Names without a step beside others that have one are told by a warning.

    Args:
        source: How messages call the place.
        there: Every name that a user may give.
        own: Those that stand for themselves, whose steps count.
        given: What the user gave, if anything.
        pattern: A regular expression that names must contain.

    Raises:
        ValueError: a name that was given is not there, or two have one step.
    """
    if given is None:
        found, without = steps_of(own, pattern, source)
        if found and without:
            tell_left_out(source, without, "their names tell no step")
        return found
    for name in given.values():
        if name not in there:
            raise ValueError(f"{source}: {unknown('checkpoint', name, there)}")
    return given


def tell_left_out(source: str, names: Sequence[str], why: str) -> None:
    """Warn of what is left out.

    Args:
        source: How the message calls the place.
        names: What is left out, of which the first eight are listed.
        why: The reason.
    """
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    warnings.warn(
        f"{source}: {', '.join(names[:8])}{more} left out: {why}. `steps` as step -> "
        "name, or `pattern`, says which belong to the run.",
        stacklevel=2,
    )
