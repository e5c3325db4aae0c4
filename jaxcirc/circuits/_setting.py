"""What every method is given: some pairs, what to put in place, and what to measure."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Float, Int

from .._core import Objective
from ..models import Graph, Transformer, Written
from ..tasks import Pairs


class Setting(eqx.Module):
    """A question about edges, for one chunk of examples.

    Args:
        model: The model.
        pairs: Clean and corrupted sequences with their answers.
        weights: What each example counts: 1, or 0 for one that fills up a chunk.
        instead: What sources are taken to have written along edges that are cut.
        objective: What is measured of a run.
        graph: The edges that are asked about.
        spans: The span that each position is in; None where edges are not told apart
            by position.
        n_spans: How many spans there are; 0 without.
        each: Whether examples are told apart; otherwise they are summed.
    """

    model: Transformer
    pairs: Pairs
    weights: Float[Array, " example"]
    instead: Written
    objective: Objective
    graph: Graph = eqx.field(static=True)
    spans: Int[Array, "example pos"] | None = None
    n_spans: int = eqx.field(static=True, default=0)
    each: bool = eqx.field(static=True, default=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what a method returns: `[*example, *span, source, destination]`."""
        examples = self.weights.shape if self.each else ()
        spans = (self.n_spans,) if self.n_spans else ()
        return (*examples, *spans, *self.graph.exists.shape)

    def replace(self, **changes: Any) -> "Setting":
        """The same question with other fields.

        Args:
            changes: New values by field.
        """
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return Setting(**(fields | changes))
