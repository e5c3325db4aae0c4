"""The `induction_heads` component: what the strongest of them write."""

import equinox as eqx
import jax

from .._core import fold_name
from ..models import TransformerConfig
from ._component import (
    AbstractComponent,
    ComponentSpec,
    Data,
    Needs,
    Observed,
    Position,
    check_options,
    check_position,
    label_of,
)
from ._heads import check_periods, induction_heads
from ._ov import written
from ._ov_qk import ov
from ._part import Part


class InductionHeads(AbstractComponent):
    """W_V W_O, or what they write, of the heads with the highest induction scores.

    Which heads these are is found anew at every checkpoint, so that a curve follows the
    strongest head rather than a place.

    Attributes:
        data: Weights or activations.
        position: Token position of activations, or `all`.
        layers: None; heads of all layers compete.
        number: How many heads.
        periods: Lengths of the repeated blocks by which heads are found.
    """

    data: Data = eqx.field(static=True)
    position: Position = eqx.field(static=True)
    number: int = eqx.field(static=True)
    periods: tuple[int, ...] = eqx.field(static=True)
    layers: tuple[int, ...] | None = eqx.field(static=True, default=None)
    name: str = eqx.field(static=True, default="induction_heads")

    @property
    def label(self) -> str:
        """The name, with the kind of data and the position where not the usual."""
        return label_of(self.name, self.data, self.position, usual="weights")

    def needs(self, config: TransformerConfig) -> Needs:
        """What heads write, for activations; nothing for weights."""
        del config
        return Needs(("attn.result",)) if self.data == "activations" else Needs()

    def check_batch(self, length: int) -> None:
        """Refuse sequences that the position lies outside of."""
        if self.data != "weights":
            check_position(self.name, self.position, length, "sequences")

    def parts(self, seen: Observed) -> dict[str, Part]:
        """One part with axes rank, row and column, the strongest head first."""
        # By a name of its own, so that other draws from the same key change nothing.
        layers, heads = induction_heads(
            seen.model,
            self.number,
            periods=self.periods,
            key=fold_name(seen.key, "induction_heads"),
        )
        if self.data == "weights":
            # Leaf by leaf, so that the product stays factored.
            values = jax.tree.map(lambda x: x[layers, heads], ov(seen.model))
        else:
            result = seen.activations["attn.result"]
            values = written(result, self.position)[layers, heads]
        return {self.label: Part(values, ("rank",), self.data)}


def build(
    config: TransformerConfig,
    *,
    data: Data = "weights",
    position: Position = -1,
    heads: bool = True,
    layers: tuple[int, ...] | None = None,
    number: int = 1,
    periods: tuple[int, ...] = (),
) -> InductionHeads:
    """The component of what the strongest induction heads write.

    Args:
        config: The model's config.
        data: Weights or activations.
        position: Token position of activations, or `all`.
        heads: Has no effect: heads are always taken one by one.
        layers: Has no effect: heads of all layers compete.
        number: How many of the highest score.
        periods: Lengths of the block that repeats, by which heads are found; in a study
            those of the task, else the longest that fits, if none.

    Raises:
        ValueError: the model has no such position or so many heads, or a block does not
            fit its context twice.
    """
    del heads
    has: tuple[Data, ...] = ("weights", "activations")
    name = "induction_heads"
    check_options(name, config, data=data, has=has, layers=layers, position=position)
    most = config.n_layers * config.n_heads
    if not 1 <= number <= most:
        raise ValueError(
            f"component 'induction_heads': `number` must be between 1 and {most}, all "
            f"heads of the model; got {number}."
        )
    # Without any, a study's task or the context gives them, which fit by themselves.
    if periods:
        check_periods(periods, config.n_ctx, who=f"component {name!r}")
    return InductionHeads(data=data, position=position, number=number, periods=periods)


SPEC = ComponentSpec(
    name="induction_heads",
    summary="W_V W_O, or what they write, of the strongest induction heads",
    build=build,
)
