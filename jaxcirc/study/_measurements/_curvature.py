"""Curvature of the loss, Fisher information and the tangent kernel."""

import equinox as eqx
import jax
from jaxtyping import Array, Key

from ..._core import fold_name, widened
from ...metrics import (
    empirical_fisher_trace,
    empirical_ntk,
    fisher_trace,
    hessian_top_eigenvalues,
    hessian_trace,
    kernel_alignment,
    kernel_velocity,
)
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ._margins import answer_logits, margins, wrong_probability
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._named_objective import NamedObjective, named_objective
from ._quantity import Outcome, Quantity


class Curvature(PerCheckpoint):
    """Hessian trace and largest eigenvalue, Fisher traces, tangent kernel.

    Hessian and empirical Fisher information are of an objective, Fisher information
    and kernel of the answers. The kernel is that of the logit of the right answer minus
    the mean logit, at each example's last position that counts.
    """

    objective: NamedObjective
    n_examples: int = eqx.field(static=True)
    n_kernel: int = eqx.field(static=True)
    num_probes: int = eqx.field(static=True)
    num_nodes: int = eqx.field(static=True)

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a task without examples for the objective, before any training.

        Raises:
            ValueError: the objective cannot be taken of this model and task.
        """
        self.objective.check(config, task)

    @property
    def needs_previous(self) -> bool:
        """Always: the velocity of the kernel is from the checkpoint before."""
        return True

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Numbers of the Hessian, of Fisher information and of the tangent kernel."""
        batch = task.sample(
            self.n_examples, split="train", key=fold_name(key, "examples")
        )
        # The kernel takes a gradient of the model for each example, in memory at once.
        few = jax.tree.map(lambda x: x[: self.n_kernel], batch)
        examples = self.objective.examples(task, self.n_examples, key)
        units = self.objective.units
        # Products with the Hessian are differences that half precision rounds away.
        model, previous = widened(snapshot.model), widened(snapshot.previous)
        loss = (self.objective.value, model, examples)
        trace = hessian_trace(
            *loss, num_probes=self.num_probes, key=fold_name(key, "probes")
        )
        top = hessian_top_eigenvalues(
            *loss, num_nodes=self.num_nodes, key=fold_name(key, "lanczos")
        )
        fisher = fisher_trace(
            answer_logits, model, batch, num_samples=4, key=fold_name(key, "outcomes")
        )
        kernel = empirical_ntk(margins, model, few)
        before = empirical_ntk(margins, previous, few)
        velocity = kernel_velocity(kernel, before)
        residual = wrong_probability(model, few)
        return Outcome(
            {
                "hessian_trace": Quantity(trace, (), units, "sum of all curvatures"),
                "largest_eigenvalue": Quantity(top[0], (), units, "largest curvature"),
                "fisher_trace": Quantity(
                    fisher, (), "nats", "Fisher information, in all"
                ),
                "empirical_fisher_trace": Quantity(
                    empirical_fisher_trace(*loss),
                    (),
                    units,
                    "mean squared norm of the examples' gradients",
                ),
                "kernel_velocity": Quantity(
                    velocity,
                    (),
                    "",
                    "how far the tangent kernel turned since the checkpoint before",
                    since_previous=True,
                ),
                "kernel_alignment": Quantity(
                    kernel_alignment(kernel, residual),
                    (),
                    "",
                    "how much of the tangent kernel points at what is still wrong",
                ),
            }
        )


def curvature(
    n_examples: int = 128,
    n_kernel: int = 24,
    num_probes: int = 16,
    num_nodes: int = 24,
    objective: str = "cross_entropy",
) -> Curvature:
    """Curvature of the loss, Fisher information and the tangent kernel.

    Args:
        n_examples: Train examples that the loss is of.
        n_kernel: How many of them the kernel is of.
        num_probes: Random vectors for the trace.
        num_nodes: Lanczos iterations for the largest eigenvalue.
        objective: What the Hessian is of: a name of `jaxcirc list objectives`.

    Raises:
        ValueError: the kernel has fewer than two examples, or more than the loss; or
            there is no such objective.
    """
    if not 2 <= n_kernel <= n_examples:
        raise ValueError(
            f"curvature: `n_kernel` must be between 2 and `n_examples` = {n_examples}; "
            f"got {n_kernel}."
        )
    aim = named_objective(objective)
    return Curvature(aim, n_examples, n_kernel, num_probes, num_nodes)


SPEC = MeasurementSpec(
    name="curvature",
    summary="Hessian trace and top eigenvalue, Fisher traces, tangent kernel",
    build=curvature,
    tiny={"n_examples": 4, "n_kernel": 2, "num_probes": 2, "num_nodes": 3},
)
