"""The coefficient of a model that is known to solve the task."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ..._core import stack_trees
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask
from ._llc import LocalLearningCoefficient
from ._measurement import AbstractMeasurement, MeasurementSpec, Quantity, Snapshot
from ._sampling import TINY, Sampling, sampled


class SolutionLLC(AbstractMeasurement):
    """The LLC of the task's own solution, a level to hold a curve against.

    The checkpoint has no part in it: give it one step, and the options of the `llc`
    that it stands beside.
    """

    sampling: Sampling

    @property
    def batched(self) -> bool:
        """It runs a program of its own."""
        return True

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """There is a solution, and everything that sampling would refuse."""
        solution_of(task, "llc_solution")
        self.sampling.check(config, task)

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, Quantity]:
        """What `llc` gives, the same for every seed."""
        seeds = len(jax.tree.leaves(snapshot.model)[0])
        known = stack_trees([solution_of(task, "llc_solution")])
        shot = Snapshot(known, known, jnp.zeros(1))
        measured = LocalLearningCoefficient(self.sampling)(shot, task, key=key)

        def repeat(quantity: Quantity) -> Quantity:
            values = np.repeat(quantity.values, seeds, axis=0)
            return eqx.tree_at(lambda q: q.values, quantity, values)

        return {name: repeat(quantity) for name, quantity in measured.items()}


def solution_of(task: AbstractTask, who: str) -> Transformer:
    """The task's solution.

    Raises:
        ValueError: none is known.
    """
    known = task.solution()
    if known is None:
        raise ValueError(
            f"{who}: no model is known to solve this task; take `task: rasp`, whose "
            "programs compile into one."
        )
    return known


SPEC = MeasurementSpec(
    name="llc_solution",
    summary="LLC of a model known to solve the task, as a level for the curve",
    build=sampled(SolutionLLC),
    tiny=TINY,
)
