"""The tape: how a forward pass is read and changed while it is traced."""

from collections.abc import Iterable, Sequence

from jaxtyping import Array, PyTree

from ._intervention import AbstractIntervention


class Tape:
    """Records the sites that were asked for and applies interventions, in one trace.

    A tape lives only while one layer is traced, so that no tracer outlives its
    transformation. With nothing asked for, `tape(site, x)` is `x` itself.

    Args:
        want: Sites to record.
        edits: Interventions, applied in this order.
        memories: What each of them remembers so far; afterwards `tape.memories` is what
            they remember then.
    """

    def __init__(
        self,
        want: Iterable[str] = (),
        edits: Sequence[AbstractIntervention] = (),
        memories: Sequence[PyTree] = (),
    ):
        self.want = frozenset(want)
        self.edits = tuple(edits)
        self.memories = list(memories)
        self.recorded: dict[str, Array] = {}

    def __call__(self, site: str, x: Array) -> Array:
        """`x` as the rest of the model should see it.

        Args:
            site: What this place is called.
            x: The activation there.
        """
        for place, edit in enumerate(self.edits):
            if site in edit.sites:
                x, self.memories[place] = edit(site, x, self.memories[place], self)
        # After the interventions, so that what is read is what the model goes on with.
        if site in self.want:
            self.recorded[site] = x
        return x

    def changes(self, site: str) -> bool:
        """Whether an intervention may change the site."""
        return any(site in edit.sites for edit in self.edits)

    def uses(self, site: str) -> bool:
        """Whether the site is read or changed, so that it must be materialised."""
        return site in self.want or self.changes(site)
