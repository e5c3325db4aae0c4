"""Size, agreement and noise of gradients, and how they turn."""

import equinox as eqx
import jax
from jaxtyping import Array, Key

from ..._core import widened
from ...metrics import gradient_cosine, gradient_statistics
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._named_objective import NamedObjective, named_objective
from ._quantity import Outcome, Quantity


class Gradients(PerCheckpoint):
    """Gradients of an objective on train examples: norm, noise scale, directions."""

    objective: NamedObjective
    n_examples: int = eqx.field(static=True)

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a task without examples for the objective, before any training.

        Raises:
            ValueError: the objective cannot be taken of this model and task.
        """
        self.objective.check(config, task)

    @property
    def needs_previous(self) -> bool:
        """Always: one cosine is to the gradient at the checkpoint before."""
        return True

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Norms, noise scale and cosines, one number each."""
        batch = self.objective.examples(task, self.n_examples, key)
        model, previous = widened(snapshot.model), widened(snapshot.previous)
        objective, units = self.objective.value, self.objective.units
        found = gradient_statistics(objective, model, batch)

        def loss(model: Transformer) -> Array:
            # Example by example, as the gradient that it is compared with.
            return jax.vmap(lambda one: objective.mean(model, one))(batch).mean()

        before = jax.grad(loss)(previous)
        turned = gradient_cosine(found.mean, before)
        return Outcome(
            {
                "norm": Quantity(found.norm, (), units, "norm of the batch's gradient"),
                "example_norm": Quantity(
                    found.example_norm,
                    (),
                    units,
                    "typical norm of an example's gradient",
                ),
                "noise_scale": Quantity(
                    found.noise_scale,
                    (),
                    "examples",
                    "batch size at which a gradient's noise equals its signal",
                ),
                "example_cosine": Quantity(
                    found.example_cosine,
                    (),
                    "",
                    "cosine between examples' gradients",
                    0.0,
                ),
                "cosine_to_previous": Quantity(
                    turned,
                    (),
                    "",
                    "cosine to the gradient at the checkpoint before",
                    0.0,
                    since_previous=True,
                ),
            }
        )


def gradients(n_examples: int = 128, objective: str = "cross_entropy") -> Gradients:
    """The measurement of size, agreement and noise of gradients.

    Args:
        n_examples: Examples, at least 2; pairs, where the objective is of pairs.
        objective: What gradients are of: a name of `jaxcirc list objectives`.

    Raises:
        ValueError: there is one example, which agrees with nothing; or there is no
            such objective.
    """
    if n_examples < 2:
        raise ValueError(
            f"gradients: `n_examples` must be at least 2, to compare; got {n_examples}."
        )
    return Gradients(named_objective(objective), n_examples)


SPEC = MeasurementSpec(
    name="gradients",
    summary="gradient norm, noise scale, and cosines between examples and in time",
    build=gradients,
    tiny={"n_examples": 4},
)
