"""What has been added to each weight since a reference: how much, and of what rank."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Key

from ..._core import named_leaves, norm
from ...metrics import effective_rank, intruder_dimensions, stable_rank
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ._between import BetweenTwo
from ._matrices import matrices, matrix_names
from ._measurement import MeasurementSpec, Snapshot
from ._quantity import Outcome, Quantity
from ._reference import Reference, described

_OF_HEADS = {"W_Q": 1, "W_K": 1, "W_V": 1, "W_O": 0}


class Updates(BetweenTwo):
    """Size and rank of every matrix's update, and directions that it brings in.

    A weight of zeros that has not moved has a size of 0, where a ratio has no value; a
    weight of zeros that has moved has no size that is relative. Ranks are those of the
    update, which a low-rank adapter keeps at its own; intruders are main directions of
    the new matrix that are like none of the old, beyond what is chance at its width.
    """

    top: int = eqx.field(static=True)

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Names of the matrices, layer by layer."""
        del task, key
        return {"matrix": matrix_names(config)}

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Numbers with an axis `matrix`, and sizes with axes `layer` and `head`."""
        del task, key
        new = named_leaves(snapshot.model)
        old = named_leaves(snapshot.inputs["reference"])
        moved = {name: new[name] - old[name] for name in new}
        changes, after, before = (dict(matrices(x)) for x in (moved, new, old))
        since = f"since {described(self.reference)}"
        sizes = [
            _relative(norm(d), norm(before[label])) for label, d in changes.items()
        ]
        new_ones = [
            intruder_dimensions(after[label], before[label], top=self.top)
            for label in changes
        ]
        directions = f"of the first {self.top} that are like none {since}, above chance"
        about = {
            "size": (
                sizes,
                "",
                f"length of the update {since}, relative to the weight",
            ),
            "effective_rank": (
                [effective_rank(d) for d in changes.values()],
                "directions",
                f"of the update {since}",
            ),
            "stable_rank": (
                [stable_rank(d) for d in changes.values()],
                "directions",
                f"of the update {since}",
            ),
            "intruders": (new_ones, "directions", directions),
        }
        found = {
            name: Quantity(jnp.stack(values), ("matrix",), units, meaning)
            for name, (values, units, meaning) in about.items()
        }
        found["head_size"] = Quantity(
            _by_head(moved, old),
            ("layer", "head"),
            "",
            f"length of the update of a head's weights {since}, relative to them",
        )
        return Outcome(found)


def _relative(moved: Array, there: Array) -> Array:
    """A length over another, 0 where nothing has moved."""
    return jnp.where(moved == 0, 0.0, moved / there)


def _by_head(moved: dict[str, Array], old: dict[str, Array]) -> Array:
    """Relative size of each query head's update, [layer, head]."""
    n_heads = old["blocks.attn.W_Q"].shape[2]

    def squares(leaves: dict[str, Array]) -> Array:
        total = jnp.zeros(())
        for name, axis in _OF_HEADS.items():
            leaf = jnp.moveaxis(leaves[f"blocks.attn.{name}"], axis + 1, 1)
            # Query heads of a group share their key head, and each has its update.
            leaf = jnp.repeat(leaf, n_heads // leaf.shape[1], axis=1)
            total = total + jnp.square(leaf).sum(axis=(2, 3))
        return total

    return _relative(jnp.sqrt(squares(moved)), jnp.sqrt(squares(old)))


def updates(top: int = 10, reference: Reference = "first") -> Updates:
    """The measurement of what has been added to each weight.

    Args:
        top: Main directions among which intruders are counted.
        reference: The model that is compared with: `first`, a step, or another run.

    Raises:
        ValueError: no direction is looked at.
    """
    if top < 1:
        raise ValueError(f"updates: `top` must be at least 1; got {top}.")
    return Updates(reference, top)


SPEC = MeasurementSpec(
    name="updates",
    summary="size, rank and intruders of every matrix's update since a reference",
    build=updates,
    tiny={"top": 4},
)
