"""The tape: how a forward pass is read and changed while it is traced."""

from collections.abc import Iterable, Sequence

from jaxtyping import Array

from ._edits import AbstractEdit


class Tape:
    """Records the sites that were asked for and applies edits, in one layer's trace.

    It lives only while that layer is traced, so no tracer outlives its transformation.
    With nothing asked for, `tape(site, x)` is `x` itself.
    """

    def __init__(self, edits: Sequence[AbstractEdit], want: Iterable[str]):
        self.edits = tuple(edits)
        self.want = frozenset(want)
        self.recorded: dict[str, Array] = {}

    def __call__(self, site: str, x: Array) -> Array:
        """`x` as the rest of the model should see it."""
        for edit in self.edits:
            if edit.site == site:
                x = edit(x)
        if site in self.want:
            self.recorded[site] = x
        return x

    def uses(self, site: str) -> bool:
        """Whether the site is read or changed, so that it must be materialised."""
        return site in self.want or any(edit.site == site for edit in self.edits)
