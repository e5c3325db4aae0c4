"""Rows that a package of somebody else's might add, one of each kind."""

import equinox as eqx
import jax.numpy as jnp

from jaxcirc.components import AbstractComponent, ComponentSpec, Needs, Part
from jaxcirc.llc import SGLD, SamplerSpec
from jaxcirc.metrics import MetricSpec
from jaxcirc.models import MODELS, ModelSpec
from jaxcirc.report import SectionSpec
from jaxcirc.study import MeasurementSpec, Outcome, PerCheckpoint, Quantity
from jaxcirc.tasks import TASKS, TaskSpec


def largest(x):
    """The largest entry."""
    return x.max()


class WeightSum(PerCheckpoint):
    """The sum of the embedding."""

    def __call__(self, snapshot, task, *, key):
        """One number."""
        total = Quantity(snapshot.model.W_E.sum(), (), "", "sum of W_E")
        return Outcome({"sum": total})


class LastRows(AbstractComponent):
    """The residual stream at the last position, times a number."""

    factor: float
    name: str = eqx.field(static=True, default="toy_rows")
    data: str = eqx.field(static=True, default="activations")
    layers: tuple[int, ...] | None = eqx.field(static=True, default=None)
    label = "toy_rows"

    def needs(self, config):
        """One site."""
        return Needs(activations=("resid_post",))

    def parts(self, seen):
        """[layer, example, d_model]."""
        rows = self.factor * seen.activations["resid_post"][:, :, -1]
        return {self.label: Part(rows, ("layer",), self.data)}


def rows(config, *, factor: float = 1.0) -> LastRows:
    """A component with an option of its own."""
    return LastRows(jnp.float32(factor))


def addition(p: int = 5):
    """Addition, by another name."""
    (row,) = [row for row in TASKS.own if row.name == "mod_add"]
    return row.build(p=p)


def family(d_vocab: int, n_ctx: int, *, d_model: int = 8):
    """A small model."""
    (grokking,) = (row for row in MODELS.own if row.name == "grokking")
    return grokking.build(d_vocab, n_ctx, d_model=d_model, n_heads=2, d_mlp=8)


METRIC = MetricSpec(
    name="toy_largest",
    summary="the largest entry of all",
    fn=largest,
    kind="array",
    bounds=(-float("inf"), None),
    units="",
    paper="",
)
TAKEN = METRIC._replace(name="gini")
TASK = TaskSpec("toy_task", "addition by another name", addition, {})
MODEL = ModelSpec("toy_family", "a small model", family, {})
MEASUREMENT = MeasurementSpec("toy_sum", "the sum of the embedding", WeightSum, {})
COMPONENT = ComponentSpec("toy_rows", "the stream at the last position", rows)
SAMPLER = SamplerSpec("toy_sgld", "SGLD by another name", SGLD, {"step_size": 2e-3})
SECTION = SectionSpec(
    "toy_sum", findings=lambda view: ["The embedding of the toy has a sum."]
)
