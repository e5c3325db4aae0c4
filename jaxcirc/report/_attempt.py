"""One part of a page must not take the others with it."""

import warnings
from collections.abc import Callable
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Failure(NamedTuple):
    """A sentence on why there is nothing to show.

    Args:
        reason: The sentence.
    """

    reason: str


def attempt(what: str, make: Callable[[], T]) -> T | Failure:
    """What a function gives, or a `Failure` if it raises.

    The reason is also a warning, so that a fault is not silent: whoever turns warnings
    into errors, as tests do, gets the fault itself.

    Args:
        what: The subject of the sentence that says why.
        make: () -> a part of the page.
    """
    try:
        return make()
    # A section may be of somebody else's package, and raise anything.
    except Exception as error:
        reason = f"{what} cannot be shown ({type(error).__name__}: {error})."
        warnings.warn(f"render: {reason} The rest of the page is whole.", stacklevel=3)
        return Failure(reason)
