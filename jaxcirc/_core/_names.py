"""Messages about names that are not known, with the names that are."""

import difflib
from collections.abc import Iterable


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name that `name` was most probably meant to be, if any is close."""
    close = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return close[0] if close else None


def unknown(kind: str, name: str, allowed: Iterable[str]) -> str:
    """One sentence for an unknown name: the nearest one first, then all of them."""
    allowed = list(allowed)
    guess = nearest(name, allowed)
    hint = f"did you mean {guess!r}? " if guess else ""
    return f"unknown {kind} {name!r}; {hint}Known: {', '.join(allowed)}."
