"""How large each weight is and how much it moved since the checkpoint before."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Key

from ..._core import named_leaves
from ...metrics import frobenius_norm, update_ratio
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity


class Weights(PerCheckpoint):
    """Frobenius norm and update-to-weight ratio of every named weight.

    Weights inside the blocks are taken layer by layer: `blocks.0.attn.W_Q`.
    """

    @property
    def needs_previous(self) -> bool:
        """Always: an update is from the checkpoint before."""
        return True

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Norms and ratios with an axis `part`."""
        del task, key
        new, old = named_leaves(snapshot.model), named_leaves(snapshot.previous)
        norms, ratios = [], []
        for _, name, layer in _parts(snapshot.model):
            after = new[name] if layer is None else new[name][layer]
            before = old[name] if layer is None else old[name][layer]
            norms.append(frobenius_norm(after))
            ratios.append(update_ratio(after, before))
        return Outcome(
            {
                "norm": Quantity(jnp.stack(norms), ("part",), "", "Frobenius norm"),
                "update_ratio": Quantity(
                    jnp.stack(ratios),
                    ("part",),
                    "",
                    "change since the checkpoint before, relative to the weight there",
                    since_previous=True,
                ),
            }
        )

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Names of the weights, layer by layer."""
        del task, key
        model = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
        return {"part": [label for label, _, _ in _parts(model)]}


def _parts(model: Transformer) -> list[tuple[str, str, int | None]]:
    """Label, path of the leaf, and the layer for leaves inside the blocks."""
    parts = []
    for name, leaf in named_leaves(model).items():
        if not name.startswith("blocks."):
            parts.append((name, name, None))
            continue
        inside = name.removeprefix("blocks.")
        # Layers are stacked in one array, and learn at different times.
        parts += [(f"blocks.{i}.{inside}", name, i) for i in range(leaf.shape[0])]
    return parts


def weights() -> Weights:
    """The measurement of how large each weight is and how much it moved."""
    return Weights()


SPEC = MeasurementSpec(
    name="weights",
    summary="norm and update-to-weight ratio of every named weight",
    build=weights,
    tiny={},
)
