"""How far the Taylor series from a reference reaches, order by order."""

import dataclasses
import math
from collections.abc import Mapping
from typing import get_args

import equinox as eqx
import numpy as np
from jaxtyping import Array, Key

from ..._core import fold_name
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ...taylor import Accuracy, Status, accuracy_along
from ._between import gathered, ways
from ._measurement import Chunk, MeasurementSpec, PerChunk
from ._quantity import Outcome, Quantity
from ._reference import Reference, described, use_of
from ._use import Use

STATUSES = get_args(Status)


class TaylorAccuracy(PerChunk):
    """The error of each order of the series from a reference to every checkpoint.

    An order says nothing without the radius within which the series converges: beyond
    it each order is worse than the one before. So radius and status stand beside the
    errors at every step. The same examples are used at all of them.
    """

    order: int = eqx.field(static=True)
    n_examples: int = eqx.field(static=True)
    reference: Reference = eqx.field(static=True)
    over: tuple[str, ...] = eqx.field(static=True)

    @property
    def uses(self) -> Mapping[str, Use]:
        """The checkpoint that is expanded at."""
        return {"reference": use_of(self.reference)}

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """The orders, from 0 on."""
        del config, task, key
        return {"order": [str(k) for k in range(self.order + 1)]}

    def __call__(
        self, chunk: Chunk, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Errors with an axis `order`; radius and status of the series."""
        key = fold_name(key, "examples")
        batch = task.sample(self.n_examples, split="train", key=key)
        found = [
            accuracy_along(
                base,
                model,
                batch.tokens,
                targets=batch.targets,
                mask=batch.mask,
                order=self.order,
                over=self.over,
            )
            for base, model in ways(chunk)
        ]
        return self._told(chunk, found)

    def _told(self, chunk: Chunk, found: list[Accuracy]) -> Outcome:
        """Accuracies as quantities."""
        each = lambda of: gathered(chunk, found, of)
        there = described(self.reference)
        orders = {
            "relative_error": (
                "",
                f"error of each order, relative to the change since {there}",
            ),
            "kl": ("nats", "KL from the model's answers to each order's"),
            "agreement": ("share", "positions where both have one likeliest answer"),
            "loss": ("nats", "loss of each order"),
        }
        quantities = {
            name: Quantity(each(lambda a, n=name: getattr(a, n)), ("order",), *about)
            for name, about in orders.items()
        }
        # Where nothing has moved, an error relative to the change has no value.
        moved = each(lambda a: a.status != "unmoved")[..., None] > 0
        errors = quantities["relative_error"]
        values = np.where(moved, errors.values, np.nan)
        quantities["relative_error"] = dataclasses.replace(errors, values=values)
        # A polynomial's radius is infinite, which no curve can draw.
        finite = lambda a: a.radius if math.isfinite(a.radius) else math.nan
        quantities["radius"] = Quantity(
            each(finite),
            (),
            "way to the checkpoint",
            "within which the series converges; below 1 it does not reach",
        )
        quantities["status"] = Quantity(
            each(lambda a: STATUSES.index(a.status)),
            (),
            "",
            "whether the series can be believed at the checkpoint",
            role="diagnostic",
            codes=STATUSES,
        )
        return Outcome(quantities)


def taylor(
    order: int = 4,
    n_examples: int = 32,
    reference: int | str = "first",
    over: tuple[str, ...] = ("*",),
) -> TaylorAccuracy:
    """The measurement of how far the series from a reference reaches.

    Args:
        order: The highest power; below 4 no radius can be told.
        n_examples: Train examples that logits are compared on.
        reference: Where the series is expanded: `first`, a step, or another run.
        over: Patterns of the weights that move.

    Raises:
        ValueError: a number is out of range.
    """
    if not 0 <= order <= 24 or n_examples < 1:
        raise ValueError(
            "taylor: `order` must be from 0 to 24 and `n_examples` at least 1; got "
            f"{order} and {n_examples}."
        )
    return TaylorAccuracy(order, n_examples, reference, tuple(over))


SPEC = MeasurementSpec(
    name="taylor",
    summary="error of the Taylor series by order, with its radius and status",
    build=taylor,
    tiny={"order": 4, "n_examples": 2},
)
