"""ACDC: go through all edges from the logits back, and drop those that do nothing."""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..models import Graph
from ._masked import counted, mean_masked
from ._method import AbstractMethod, MethodSpec
from ._setting import Setting


class ACDC(AbstractMethod):
    """Automatic circuit discovery: edges are dropped for good, one after the other.

    Edges are visited in reverse order of computation, the latest destination first and
    of each its latest source. With the edges dropped so far left out, the next one is
    corrupted; if the objective's mean over examples changes by no more than `threshold`
    it is dropped too, and otherwise stays. Its score is the change measured at that
    moment, so the circuit is where scores are not 0:

        score = m(kept without the edge) - m(kept),  0 for a dropped edge

    One forward pass for each edge, in one program. The answer depends on the order and
    is about all examples together (Conmy et al. 2023, algorithm 1).

    Args:
        threshold: The largest change that counts as none, in units of the objective.
        rule: `size` keeps edges that change the objective either way. `increase` keeps
            those alone whose corruption raises it, as was published for a divergence or
            a loss.

    Raises:
        ValueError: the threshold is negative, or there is no such rule.
    """

    threshold: float = eqx.field(static=True, default=0.01)
    rule: Literal["size", "increase"] = eqx.field(static=True, default="size")
    name: ClassVar[str] = "acdc"
    adds: ClassVar[bool] = False

    def __check_init__(self):
        if not self.threshold >= 0:
            raise ValueError(
                f"acdc: `threshold` must be at least 0; got {self.threshold}."
            )
        if self.rule not in ("size", "increase"):
            raise ValueError(
                f"acdc: `rule` must be 'size' or 'increase'; got {self.rule!r}."
            )

    def __call__(self, setting: Setting) -> Float[Array, "source destination"]:
        """Changes at the moment of each edge that is kept.

        Args:
            setting: The question.
        """
        mean = mean_masked(setting)
        every = jnp.ones(setting.shape)

        def visit(carry, edge):
            keep, before, scores = carry
            source, destination = edge
            without = keep.at[source, destination].set(0)
            after = mean(without)
            change = after - before
            size = change if self.rule == "increase" else jnp.abs(change)
            # Not <: with a threshold of 0 an edge without any effect is dropped.
            drop = size <= self.threshold
            keep, before = jax.tree.map(
                lambda a, b: jnp.where(drop, a, b), (without, after), (keep, before)
            )
            change = jnp.where(drop, 0, change)
            return (keep, before, scores.at[source, destination].set(change)), None

        start = mean(every)
        carry = (every, start, jnp.zeros(setting.shape, start.dtype))
        edges = jnp.asarray(_from_the_logits(setting.graph))
        (_, _, scores), _ = jax.lax.scan(visit, carry, edges)
        # Who asks divides by the number of examples; changes of a mean are divided.
        return scores * counted(setting).sum()


def _from_the_logits(graph: Graph) -> Int[np.ndarray, "edge two"]:
    """Edges in reverse order of computation, by destination and then by source."""
    source, destination = graph.edges.T
    return graph.edges[np.lexsort((source, destination))[::-1]]


SPEC = MethodSpec(
    "acdc",
    "drop edges one by one, from the logits back",
    ACDC,
    "Conmy et al. (2023), Towards automated circuit discovery",
    linear=False,
)
