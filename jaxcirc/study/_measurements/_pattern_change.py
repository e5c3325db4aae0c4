"""How differently every head attends since a reference, and on what."""

import equinox as eqx
import jax
from jaxtyping import Array, Key

from ..._core import fold_name
from ...metrics import pattern_divergence
from ...models import TransformerConfig, capture
from ...tasks import AbstractTask
from ._between import BetweenTwo
from ._measurement import MeasurementSpec, Snapshot
from ._quantity import Outcome, Quantity
from ._reference import Reference, described

_SITE = "attn.pattern"


class PatternChange(BetweenTwo):
    """Jensen-Shannon divergence of each head's patterns from those of a reference.

    Both models read the same examples, and divergences are means over queries and
    examples: in [0, ln 2] nats, 0 for a head that attends as it did. Of one example
    both patterns are kept, to be looked at.
    """

    n_examples: int = eqx.field(static=True)
    max_length: int = eqx.field(static=True)

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Divergences with axes `layer` and `head`, and the patterns of one example."""
        tokens = self._tokens(task, key)
        both = (snapshot.model, snapshot.inputs["reference"])
        here, there = (capture(model, tokens, (_SITE,))[1][_SITE] for model in both)
        # Over layers, examples and heads; the mean is over examples.
        each = jax.vmap(jax.vmap(jax.vmap(pattern_divergence)))(here, there)
        since = described(self.reference)
        n = self.max_length
        found = {
            "divergence": Quantity(
                each.mean(axis=1), ("layer", "head"), "nats",
                f"of each head's patterns from those at {since}; at most ln 2",
            )
        }  # fmt: skip
        dims = ("layer", "head", "query_pos", "key_pos")
        for name, pattern in (("pattern", here), ("reference_pattern", there)):
            whose = "at this checkpoint" if name == "pattern" else f"at {since}"
            found[name] = Quantity(
                pattern[:, 0, :, :n, :n], dims, "attention",
                f"attention of each position to each, {whose}", role="detail",
            )  # fmt: skip
        return Outcome(found)

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """The tokens, each after its position so that no two are alike."""
        del config
        tokens = self._tokens(task, key)[0, : self.max_length]
        labels = [f"{i} {token}" for i, token in enumerate(task.decode(tokens))]
        return {"query_pos": labels, "key_pos": labels}

    def _tokens(self, task: AbstractTask, key: Key[Array, ""]) -> Array:
        """The examples, which are the same at every checkpoint."""
        key = fold_name(key, "examples")
        return task.sample(self.n_examples, split="test", key=key).tokens


def pattern_change(
    n_examples: int = 32, max_length: int = 32, reference: Reference = "first"
) -> PatternChange:
    """The measurement of how differently heads attend since a reference.

    Args:
        n_examples: Test examples that patterns are compared on.
        max_length: Number of tokens of one example whose patterns are kept, at most.
        reference: The model that is compared with: `first`, a step, or another run.

    Raises:
        ValueError: a number is not positive.
    """
    if n_examples < 1 or max_length < 1:
        raise ValueError(
            "pattern_change: `n_examples` and `max_length` must be at least 1; got "
            f"{n_examples} and {max_length}."
        )
    return PatternChange(reference, n_examples, max_length)


SPEC = MeasurementSpec(
    name="pattern_change",
    summary="divergence of every head's attention from a reference's, with patterns",
    build=pattern_change,
    tiny={"n_examples": 2, "max_length": 8},
)
