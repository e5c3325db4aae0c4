"""How much the tangent kernel has changed since a reference: lazy or rich?"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Key

from ..._core import fold_name, widened
from ...metrics import empirical_ntk, kernel_alignment, kernel_velocity
from ...tasks import AbstractTask
from ._between import BetweenTwo
from ._margins import margins, wrong_probability
from ._measurement import MeasurementSpec, Snapshot
from ._quantity import Outcome, Quantity
from ._reference import Reference, described


class KernelChange(BetweenTwo):
    """The tangent kernel of a checkpoint beside that of a reference.

    K_ij = <∇f(x_i), ∇f(x_j)> of the logit of the right answer minus the mean logit, at
    each example's last position that counts. Training is lazy while the kernel stays
    what it was and the linearised model errs little (order 1 of the row `taylor`); one
    of the two alone does not show it.
    """

    n_examples: int = eqx.field(static=True)

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Change, turn and alignment of the kernel."""
        key = fold_name(key, "examples")
        batch = task.sample(self.n_examples, split="train", key=key)
        model, base = widened(snapshot.model), widened(snapshot.inputs["reference"])
        here, there = (empirical_ntk(margins, m, batch) for m in (model, base))
        change = jnp.linalg.norm(here - there) / jnp.linalg.norm(there)
        since = f"since {described(self.reference)}"
        wrong = wrong_probability(model, batch)
        about = {
            "change": (change, f"of the tangent kernel {since}, relative to it"),
            "turn": (
                kernel_velocity(here, there),
                f"of the tangent kernel {since}: 1 less the cosine",
            ),
            "alignment": (
                kernel_alignment(here, wrong),
                "how much of the tangent kernel points at what is still wrong",
            ),
        }
        return Outcome({k: Quantity(v, (), "", told) for k, (v, told) in about.items()})


def kernel_change(n_examples: int = 16, reference: Reference = "first") -> KernelChange:
    """The measurement of how much the tangent kernel has changed.

    Args:
        n_examples: Train examples of the kernel, a gradient each for both models.
        reference: The model that is compared with: `first`, a step, or another run.

    Raises:
        ValueError: there are fewer than two examples.
    """
    if n_examples < 2:
        raise ValueError(
            f"kernel_change: `n_examples` must be at least 2; got {n_examples}."
        )
    return KernelChange(reference, n_examples)


SPEC = MeasurementSpec(
    name="kernel_change",
    summary="change, turn and alignment of the tangent kernel since a reference",
    build=kernel_change,
    tiny={"n_examples": 2},
)
