"""From which layer on the answer can be read, and which parts write it."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from ..._core import fold_name
from ...components import direct_logit_attribution, logit_lens as lens_of
from ...metrics import answer_rank, lens_agreement, lens_divergence
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity


class LogitLens(PerCheckpoint):
    """Each layer's residual stream read as logits, at positions that count.

    Where logits are a sum over heads and MLPs, also what each adds to the right
    answer's logit.
    """

    n_examples: int = eqx.field(static=True)

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Numbers by layer; attributions by layer and head."""
        model = snapshot.model
        batch = task.sample(
            self.n_examples, split="test", key=fold_name(key, "examples")
        )
        lens = lens_of(model, batch.tokens)
        # The last position that counts of each example.
        place = batch.mask.shape[1] - 1 - jnp.argmax(batch.mask[:, ::-1], axis=1)
        rows = jnp.arange(len(place))
        lens, targets = lens[:, rows, place], batch.targets[rows, place]
        final = lens[-1]
        measured = {
            "divergence": Quantity(
                jax.vmap(lambda x: lens_divergence(x, final))(lens),
                ("layer",),
                "nats",
                "KL divergence of a layer's answer from the final one",
            ),
            "agreement": Quantity(
                jax.vmap(lambda x: lens_agreement(x, final))(lens),
                ("layer",),
                "share",
                "a layer puts the same token first as the last one",
            ),
            "answer_rank": Quantity(
                jax.vmap(lambda x: answer_rank(x, targets))(lens),
                ("layer",),
                "places",
                "place of the right answer; 0 is first",
                (model.config.sizes.d_vocab_out - 1) / 2,
            ),
        }
        # A norm or a cap behind the sum would leave no part of it to a head alone.
        if _is_sum(model.config):
            parts = direct_logit_attribution(model, batch.tokens, batch.targets)
            heads = parts.heads[:, :, rows, place].mean(axis=-1)
            measured["head_attribution"] = Quantity(
                heads,
                ("layer", "head"),
                "logits",
                "what a head adds to the right answer's logit, directly",
            )
            if parts.mlps is not None:
                measured["mlp_attribution"] = Quantity(
                    parts.mlps[:, rows, place].mean(axis=-1),
                    ("layer",),
                    "logits",
                    "what an MLP adds to the right answer's logit, directly",
                )
        return Outcome(measured)


def _is_sum(config: TransformerConfig) -> bool:
    """Whether logits are a sum over heads and MLPs, up to the last norm."""
    return config.norm_position == "before" and config.logit_softcap is None


def logit_lens(n_examples: int = 128) -> LogitLens:
    """The measurement of the layer from which on the answer can be read.

    Args:
        n_examples: Test examples.
    """
    return LogitLens(n_examples)


SPEC = MeasurementSpec(
    name="logit_lens",
    summary="each layer read as logits; what heads and MLPs add to the answer",
    build=logit_lens,
    tiny={"n_examples": 4},
)
