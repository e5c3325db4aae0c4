"""Messages about names that are not known, with the names that are."""

import difflib
from collections.abc import Iterable


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """The allowed name that a name was most probably meant to be, or None.

    Args:
        name: The name that is not known.
        allowed: Names that are.
    """
    close = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return close[0] if close else None


def unknown(
    kind: str, name: str, allowed: Iterable[str], *, aliases: Iterable[str] = ()
) -> str:
    """One sentence for an unknown name: the nearest one first, then all of them.

    Args:
        kind: What has the name, such as `metric`.
        name: The name that is not known.
        allowed: Names that are; they are listed.
        aliases: Names that may be the nearest too, but are not listed.
    """
    allowed = list(allowed)
    guess = nearest(name, [*allowed, *aliases])
    hint = f"did you mean {guess!r}? " if guess else ""
    return f"unknown {kind} {name!r}; {hint}Known: {', '.join(allowed)}."
