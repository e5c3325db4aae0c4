"""The change since a reference by what heads move, by where they look, and by both."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from ..._core import fold_name
from ...metrics import cross_entropy
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ...taylor import decompose as decompose_logits
from ._between import BetweenTwo
from ._measurement import MeasurementSpec, Snapshot
from ._quantity import Outcome, Quantity
from ._reference import Reference, described

_PARTS = ("OV", "QK", "interaction")
_MIXED = ("neither", "OV", "QK", "both")


class Decompose(BetweenTwo):
    """Logits and losses of either model's weights under the other's patterns.

    With f(w, A) the logits of weights w under attention patterns A, the change by OV is
    f(w1, A0) - f(w0, A0), that by QK f(w0, A1) - f(w0, A0), and the interaction what
    is left of the whole. OV here is everything but patterns: embeddings and MLPs too.
    The loss with OV alone is that of f(w1, A0).
    """

    n_examples: int = eqx.field(static=True)

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Names of the parts, and of what has changed in a mixed model."""
        del config, task, key
        return {"part": list(_PARTS), "changed": list(_MIXED)}

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Lengths with an axis `part`, and losses with an axis `changed`."""
        key = fold_name(key, "examples")
        batch = task.sample(self.n_examples, split="test", key=key)
        base = snapshot.inputs["reference"]
        found = decompose_logits(base, snapshot.model, batch.tokens)
        mixed = jnp.stack([found.base, found.ov, found.qk, found.tuned])
        losses = jax.vmap(lambda logits: cross_entropy(logits, *batch[1:]))(mixed)
        since = described(self.reference)
        sizes = Quantity(
            found.sizes(), ("part",), "", f"of the change of logits since {since}"
        )
        meaning = f"with what has changed since {since}, and all else as it was"
        return Outcome(
            {"size": sizes, "loss": Quantity(losses, ("changed",), "nats", meaning)}
        )


def decompose(n_examples: int = 64, reference: Reference = "first") -> Decompose:
    """The measurement of what a change is by: OV, QK or both together.

    Args:
        n_examples: Test examples that logits are compared on.
        reference: The model that is compared with: `first`, a step, or another run.

    Raises:
        ValueError: there are no examples.
    """
    if n_examples < 1:
        raise ValueError(f"decompose: `n_examples` must be at least 1: {n_examples}.")
    return Decompose(reference, n_examples)


SPEC = MeasurementSpec(
    name="decompose",
    summary="the change since a reference by OV, by QK, and by both together",
    build=decompose,
    tiny={"n_examples": 2},
)
