"""How a task's circuit changes over training, beside what chance does."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ...circuits import edits, jaccard, rank_correlation, weighted_jaccard
from ...models import Transformer, graph
from ...tasks import AbstractTask
from ._measurement import AlongRun, MeasurementSpec, Snapshot
from ._quantity import Outcome, Quantity


class Before(NamedTuple):
    """The circuit of the step before, and the running mean of the change.

    Args:
        score: Its scores; NaN before the first.
        kept: Its edges, as 0 and 1.
        total: Weighted sum of the changes so far.
        weights: Sum of their weights; 0 before the first.
    """

    score: Float[Array, "source destination"]
    kept: Float[Array, "source destination"]
    total: Float[Array, ""]
    weights: Float[Array, ""]


class CircuitChange(AlongRun):
    """Similarity of the circuit to that of the step before and to a reference.

    Jaccard indices of the chosen edges, weighted Jaccard indices and rank correlations
    of the scores. What two halves of the examples give at one and the same checkpoint
    stands beside them: only below it does a change of the model show.
    """

    weight: float = eqx.field(static=True)

    @property
    def takes(self):
        """The circuits that are compared."""
        return {
            "circuit": "a row `circuit`",
            "reference": "the circuit to compare with, such as `circuit@last`",
        }

    def init(
        self, model: Transformer, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Before:
        """No circuit before the first."""
        del task, key
        shape, zero = graph(model.config).exists.shape, jnp.zeros(())
        return Before(jnp.full(shape, jnp.nan), jnp.zeros(shape), zero, zero)

    def step(
        self,
        state: Before,
        snapshot: Snapshot,
        task: AbstractTask,
        *,
        key: Key[Array, ""],
    ) -> tuple[Before, Outcome]:
        """Similarities of this step's circuit, and the state with it."""
        del task, key
        here = snapshot.inputs["circuit"].quantities
        there = snapshot.inputs["reference"].quantities
        table = graph(snapshot.model.config)
        previous = {"score": state.score, "kept": state.kept}
        first = ~jnp.isfinite(jnp.where(table.exists, state.score, 0)).all()
        found = {}
        for name, other in (("previous", previous), ("reference", there)):
            for key_, (value, meaning) in _similarities(here, other, table).items():
                value = jnp.where(first & (name == "previous"), jnp.nan, value)
                found[f"{key_}_{name}"] = Quantity(
                    value, (), "share" if "jaccard" in key_ else "",
                    f"{meaning} the {_WHOSE[name]}",
                )  # fmt: skip
        change = 1 - found["weighted_jaccard_previous"].values
        mean, state = _followed(state, change, self.weight)
        changed = edits(state.kept, jnp.nan_to_num(here["kept"]))
        found["change"] = Quantity(
            mean, (), "share", "running mean of 1 - weighted Jaccard to the step before"
        )
        for name, number in (("added", changed.added), ("deleted", changed.deleted)):
            number = jnp.where(first, jnp.nan, number.astype(jnp.float32))
            found[name] = Quantity(number, (), "edges", "since the step before")
        found["null_jaccard"] = Quantity(
            here["null_jaccard"],
            (),
            "share",
            "Jaccard index of two halves of the pairs",
        )
        kept = jnp.nan_to_num(here["kept"])
        return Before(here["score"], kept, state.total, state.weights), Outcome(found)


_WHOSE = {"previous": "step before", "reference": "reference"}


def _similarities(here, other, table) -> dict[str, tuple[Array, str]]:
    """Three similarities of two circuits, each with what it means."""
    clean = lambda x: jnp.where(table.exists, x, 0)
    a, b = clean(here["score"]), clean(other["score"])
    kept = (jnp.nan_to_num(here["kept"]), jnp.nan_to_num(other["kept"]))
    return {
        "jaccard": (jaccard(*kept), "Jaccard index of the edges with those of"),
        "weighted_jaccard": (
            weighted_jaccard(a, b),
            "Σ min / Σ max of absolute scores and those of",
        ),
        "rank_correlation": (
            rank_correlation(a, b, table),
            "Spearman's correlation of absolute scores with those of",
        ),
    }


def _followed(state: Before, change: Array, weight: float) -> tuple[Array, Before]:
    """The running mean with one change more, without a bias at its start."""
    known = jnp.isfinite(change)
    total = jnp.where(known, (1 - weight) * state.total + weight * change, state.total)
    weights = jnp.where(known, (1 - weight) * state.weights + weight, state.weights)
    mean = jnp.where(weights > 0, total / jnp.where(weights > 0, weights, 1), jnp.nan)
    return mean, state._replace(total=total, weights=weights)


def circuit_change(weight: float = 0.5) -> CircuitChange:
    """The measurement of how a circuit changes over training.

    Args:
        weight: What the newest change counts in the running mean, in (0, 1].

    Raises:
        ValueError: `weight` is outside.
    """
    if not 0 < weight <= 1:
        raise ValueError(f"circuit_change: `weight` must be in (0, 1]; got {weight}.")
    return CircuitChange(weight)


SPEC = MeasurementSpec(
    name="circuit_change",
    summary="similarity of a circuit to the step before and to a reference",
    build=circuit_change,
    tiny={},
    tiny_study=(
        "measure=[{name: circuit, method: eap, n_pairs: 4, sizes: [0.2, 1.0],"
        " resamples: 4}, {name: circuit_change,"
        " uses: {circuit: circuit, reference: circuit@last}}]",
    ),
)
