"""The coefficient of a model that is known to solve the task."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ..._core import stack_trees
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask
from ._llc import LocalLearningCoefficient, llc
from ._measurement import AbstractMeasurement, MeasurementSpec, Quantity, Snapshot


class SolutionLLC(AbstractMeasurement):
    """The LLC of the task's own solution, a level to hold a curve against.

    The checkpoint has no part in it: give it one step, and the options of the `llc`
    that it stands beside.
    """

    curve: LocalLearningCoefficient

    @property
    def batched(self) -> bool:
        """It runs a program of its own."""
        return True

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """There is a solution, and everything that sampling would refuse."""
        solution_of(task, "llc_solution")
        self.curve.check(config, task)

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, Quantity]:
        """What `llc` gives, the same for every seed."""
        seeds = len(jax.tree.leaves(snapshot.model)[0])
        known = stack_trees([solution_of(task, "llc_solution")])
        measured = self.curve(Snapshot(known, known, jnp.zeros(1)), task, key=key)

        def repeat(quantity: Quantity) -> Quantity:
            values = np.repeat(quantity.values, seeds, axis=0)
            return Quantity(values, quantity.dims, quantity.units, quantity.meaning)

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


def llc_solution(
    sampler: str = "sgld",
    step_size: float = 3e-5,
    n_beta: float | None = None,
    gamma: float = 300.0,
    batch_size: int | None = 256,
    num_chains: int = 4,
    num_draws: int = 200,
    num_burnin: int = 600,
    steps_between_draws: int = 4,
    n_examples: int = 4096,
) -> SolutionLLC:
    """The local learning coefficient of a model that is known to solve the task.

    Args:
        sampler: As in `llc`, like all that follow.
        step_size: Of the sampler.
        n_beta: Inverse temperature times number of examples; null for n / ln n.
        gamma: Strength of the localisation.
        batch_size: Examples per step; null for all.
        num_chains: Chains.
        num_draws: Draws of each.
        num_burnin: Steps before the first.
        steps_between_draws: Steps to a draw.
        n_examples: Train examples that make up the loss, at most.
    """
    return SolutionLLC(
        llc(
            sampler,
            step_size,
            n_beta,
            gamma,
            batch_size,
            num_chains,
            num_draws,
            num_burnin,
            steps_between_draws,
            n_examples,
        )
    )


SPEC = MeasurementSpec(
    name="llc_solution",
    summary="LLC of a model known to solve the task, as a level for the curve",
    build=llc_solution,
    tiny={
        "batch_size": 4,
        "num_chains": 2,
        "num_draws": 8,
        "num_burnin": 4,
        "n_examples": 8,
    },
)
