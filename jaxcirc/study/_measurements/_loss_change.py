"""Which weights the change of the loss since a reference comes from."""

from typing import Literal

import equinox as eqx
import jax.random as jr
import numpy as np
from jaxtyping import Array, Key

from ..._core import fold_name
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask
from ...taylor import Attribution, attribute, group_names
from ._between import AlongWay, LossOn, gathered, ways
from ._measurement import Chunk, MeasurementSpec
from ._quantity import Outcome, Quantity
from ._reference import Reference, described

Groups = Literal["heads", "tensors", "layers"]


class LossChange(AlongWay):
    """Shares of groups of weights in the change of the loss, in three ways.

    By order 1, d_g · ∇_g loss at the reference; by orders 1 and 2 together, with half
    the step times the Hessian product; and over the straight path, the Aumann-Shapley
    value. The first two predict the change as far as the series reaches, which the
    sums beside the actual change tell. The last adds up to it, but for the residual.
    """

    groups: Groups = eqx.field(static=True)
    n_examples: int = eqx.field(static=True)
    nodes: int = eqx.field(static=True)

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Names of the groups, and of the orders."""
        del task, key
        like = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
        return {"group": list(group_names(self.groups, like)), "order": ["1", "2"]}

    def __call__(
        self, chunk: Chunk, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Shares with an axis `group`; the change, predictions of it and residuals."""
        key = fold_name(key, "examples")
        loss = LossOn(task.sample(self.n_examples, split="test", key=key))
        by_order, by_path = [], []
        for base, model in ways(chunk):
            both = (loss, base, model)
            by_order.append(attribute(*both, groups=self.groups, order=2))
            by_path.append(attribute(*both, groups=self.groups, nodes=self.nodes))
        return self._told(chunk, by_order, by_path)

    def _told(
        self, chunk: Chunk, by_order: list[Attribution], by_path: list[Attribution]
    ) -> Outcome:
        """Attributions as quantities."""
        orders = lambda of: gathered(chunk, by_order, of)
        path = lambda of: gathered(chunk, by_path, of)
        since = f"since {described(self.reference)}"
        what = f"share in the change of the loss {since}"
        share = lambda values, how: Quantity(
            values, ("group",), "nats", f"{what}, {how}"
        )
        predicted = orders(lambda a: np.cumsum(np.asarray(a.values).sum(axis=-1)))
        return Outcome(
            {
                "path": share(path(lambda a: a.values), "over the straight path"),
                "order_1": share(orders(lambda a: a.values[0]), "by the gradient"),
                "order_2": share(
                    orders(lambda a: a.values.sum(axis=0)),
                    "by the gradient and the Hessian",
                ),
                "change": Quantity(
                    path(lambda a: a.change), (), "nats", f"of the loss {since}"
                ),
                "predicted": Quantity(
                    predicted,
                    ("order",),
                    "nats",
                    f"change of the loss {since} by the series of an order",
                ),
                "residual": Quantity(
                    path(lambda a: a.residual),
                    (),
                    "nats",
                    "what shares over the path miss of the change",
                    role="diagnostic",
                ),
            }
        )


def loss_change(
    groups: Groups = "heads",
    n_examples: int = 64,
    nodes: int = 16,
    reference: Reference = "first",
) -> LossChange:
    """The measurement of which weights change the loss.

    Args:
        groups: `heads` (with a group for each MLP), `tensors` or `layers`.
        n_examples: Test examples of the loss.
        nodes: Points of the path, a gradient each.
        reference: Where the path begins: `first`, a step, or another run.

    Raises:
        ValueError: a number is below 1.
    """
    if n_examples < 1 or nodes < 1:
        raise ValueError(
            "loss_change: `n_examples` and `nodes` must be at least 1; got "
            f"{n_examples} and {nodes}."
        )
    return LossChange(reference, groups, n_examples, nodes)


SPEC = MeasurementSpec(
    name="loss_change",
    summary="the loss's change since a reference, shared out among heads or tensors",
    build=loss_change,
    tiny={"n_examples": 2, "nodes": 2},
)
