"""Size, agreement and noise of gradients, and how they turn."""

import equinox as eqx
import jax
from jaxtyping import Array, Key

from ..._core import fold_name, widened
from ...metrics import gradient_cosine, gradient_statistics
from ...models import Transformer
from ...objectives import CrossEntropy
from ...tasks import AbstractTask
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity


class Gradients(PerCheckpoint):
    """Gradients of the loss on train examples: norm, noise scale and directions."""

    n_examples: int = eqx.field(static=True)

    @property
    def needs_previous(self) -> bool:
        """Always: one cosine is to the gradient at the checkpoint before."""
        return True

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Norms, noise scale and cosines, one number each."""
        batch = task.sample(
            self.n_examples, split="train", key=fold_name(key, "examples")
        )
        model, previous = widened(snapshot.model), widened(snapshot.previous)
        objective = CrossEntropy()
        found = gradient_statistics(objective, model, batch)

        def loss(model: Transformer) -> Array:
            # Example by example, as the gradient that it is compared with.
            return jax.vmap(lambda one: objective.mean(model, one))(batch).mean()

        before = jax.grad(loss)(previous)
        turned = gradient_cosine(found.mean, before)
        return Outcome(
            {
                "norm": Quantity(
                    found.norm, (), "nats", "norm of the batch's gradient"
                ),
                "example_norm": Quantity(
                    found.example_norm,
                    (),
                    "nats",
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


def gradients(n_examples: int = 128) -> Gradients:
    """The measurement of size, agreement and noise of gradients.

    Args:
        n_examples: Examples, at least 2.

    Raises:
        ValueError: there is one example, which agrees with nothing.
    """
    if n_examples < 2:
        raise ValueError(
            f"gradients: `n_examples` must be at least 2, to compare; got {n_examples}."
        )
    return Gradients(n_examples)


SPEC = MeasurementSpec(
    name="gradients",
    summary="gradient norm, noise scale, and cosines between examples and in time",
    build=gradients,
    tiny={"n_examples": 4},
)
