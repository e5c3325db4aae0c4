"""The coefficient of a model that is known to solve the task."""

from collections.abc import Mapping

from jaxtyping import Array, Key, PyTree

from ..._core import stack_trees
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask
from ._llc import LocalLearningCoefficient
from ._measurement import MeasurementSpec, Once
from ._quantity import Outcome
from ._sampling import TINY, Sampling, sampled


class SolutionLLC(Once):
    """The LLC of the task's own solution, a level to hold a curve against.

    Give it the options of the `llc` that it stands beside.
    """

    sampling: Sampling

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a task without a solution, and what sampling would refuse.

        Raises:
            ValueError: no solution is known, or a number does not fit.
        """
        solution_of(task, "llc_solution")
        self.sampling.check(config, task)

    def __call__(
        self,
        task: AbstractTask,
        inputs: Mapping[str, PyTree],
        *,
        key: Key[Array, ""],
    ) -> Outcome:
        """The quantities that `llc` gives of a model, here of the solution."""
        del inputs
        # Sampling takes checkpoints × seeds: here one of one.
        known = stack_trees([stack_trees([solution_of(task, "llc_solution")])])
        found = self.sampling.run(known, task, key)
        return LocalLearningCoefficient(self.sampling).measured(found[0, 0])


def solution_of(task: AbstractTask, who: str) -> Transformer:
    """The model that is known to solve a task.

    Args:
        task: The task.
        who: The measurement that needs it, for the message.

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
    tiny_study=("task={name: rasp, program: sort_unique}",),
)
