"""What a method says about every edge, and what it was asked."""

import equinox as eqx
from jaxtyping import Array, Bool, Float

from ..models import Graph


class Scores(eqx.Module):
    """A number for every edge: how the objective changes when that edge is corrupted.

    The one convention of this package: a score is the change of the objective's mean
    over examples, predicted by attribution or measured by patching, when what the
    destination reads from the source is replaced as `ablation` says. With a logit
    difference, an edge that carries the answer has a negative score.

    Args:
        values: Scores by source and destination, 0 where there is no edge. Before
            these axes come one of examples, if they were asked for one by one, and one
            of spans, if edges were told apart by position.
        graph: Whose sources and destinations these are.
        method: How they were found, a row of `METHODS`, or `patch` for the truth.
        ablation: What was put in place, a row of `ABLATIONS`.
        objective: Name of the objective that changes.
        counts: Which examples count, where they are told apart; others have 0.
    """

    values: Float[Array, "*axes source destination"]
    graph: Graph = eqx.field(static=True)
    method: str = eqx.field(static=True)
    ablation: str = eqx.field(static=True)
    objective: str = eqx.field(static=True)
    counts: Bool[Array, " example"] | None = None

    @property
    def mean(self) -> Float[Array, "*span source destination"]:
        """Scores of all examples together, whether they are told apart or not."""
        if self.counts is None:
            return self.values
        return self.values.sum(axis=0) / self.counts.sum().astype(self.values.dtype)

    @property
    def nodes(self) -> Float[Array, "*axes source"]:
        """Attribution of whole sources: the sum over all that read them.

        For a method that is linear in what a source writes, as attribution patching
        is, this is its score for the source itself; patched edges do not add up.
        """
        return self.values.sum(axis=-1)
