"""The circuit of a task at every checkpoint: scores, what is chosen, what it keeps."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Key

from ... import circuits
from ..._core import find, fold_name
from ...models import TransformerConfig, graph
from ...objectives import OBJECTIVES
from ...tasks import AbstractTask
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity

# Circuits are compared with random ones of their size, of which this many are run.
_RANDOM = 8

# A circuit is spoken of where the behaviour is so many standard errors from nothing,
# and the share that is kept is known so well.
_TOLD, _KNOWN = 3.0, 0.25


class Circuit(PerCheckpoint):
    """Scores of all edges with intervals, the smallest circuit, and what that keeps.

    Pairs are the same at every checkpoint. The circuit is the smallest of some sizes,
    chosen by absolute score, that keeps `at_least` of the objective; all edges where
    none does. Where the pairs do not tell all edges from none, or a share is not known
    to a quarter, there is no behaviour to keep, and what is said of a circuit is NaN.
    """

    method: circuits.AbstractMethod
    ablation: circuits.AbstractAblation
    objective: str = eqx.field(static=True)
    n_pairs: int = eqx.field(static=True)
    sizes: tuple[float, ...] = eqx.field(static=True)
    at_least: float = eqx.field(static=True)
    resamples: int = eqx.field(static=True)

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a model without a graph.

        Args:
            config: The config of the study's models.
            task: The study's task.

        Raises:
            ValueError: the model's residual stream is no sum of what is written.
        """
        del task
        graph(config)

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Scores by source and destination, and numbers of the circuit."""
        model = snapshot.model
        pairs = task.pairs(self.n_pairs, split="test", key=fold_name(key, "pairs"))
        options = {
            "objective": find(OBJECTIVES, self.objective, kind="objective").build(),
            "ablation": self.ablation.fitted(model, pairs),
        }
        scores = circuits.attribute(
            model, pairs, self.method, per_example=True, **options
        )
        table = scores.graph
        family = circuits.nested(scores, self.sizes)
        kept = circuits.faithfulness(model, pairs, family, **options)
        best = circuits.smallest(kept, family, table, self.at_least)
        sure = circuits.bootstrap(
            scores, best.size, resamples=self.resamples, key=fold_name(key, "bootstrap")
        )
        sizes = jnp.full(_RANDOM, best.size)
        random = circuits.random_circuits(table, sizes, key=fold_name(key, "random"))
        by_chance = circuits.faithfulness(model, pairs, random, **options)
        return Outcome(
            self._by_edge(scores, sure, best) | self._whole(kept, best, sure, by_chance)
        )

    def _by_edge(self, scores, sure, best) -> dict[str, Quantity]:
        """What there is for each edge; NaN where there is none."""
        exists = scores.graph.exists
        units = find(OBJECTIVES, self.objective, kind="objective").units
        meanings = {
            "score": (scores.mean, units, "change when the edge is corrupted"),
            "low": (sure.low, units, "lower end of the score's 95% interval"),
            "high": (sure.high, units, "upper end of the score's 95% interval"),
            "often": (sure.often, "share", "of resamples that choose the edge"),
            "kept": (best.keep, "", "whether the edge is in the circuit"),
        }
        return {
            name: Quantity(
                jnp.where(exists, jnp.asarray(values, jnp.float32), jnp.nan),
                ("source", "destination"),
                unit,
                meaning,
                role="detail",
            )
            for name, (values, unit, meaning) in meanings.items()
        }

    def _whole(self, kept, best, sure, by_chance) -> dict[str, Quantity]:
        """What there is of a whole circuit, beside what chance gives."""
        units = find(OBJECTIVES, self.objective, kind="objective").units
        nodes = best.keep.any(axis=1).sum()
        error = jnp.append(kept.error, 0.0)[best.place]
        known = (kept.told > _TOLD) & (error < _KNOWN)
        only = lambda x: jnp.where(known, jnp.asarray(x, jnp.float32), jnp.nan)
        series = {
            "size": (only(best.size), "edges", "smallest circuit that keeps enough"),
            "nodes": (only(nodes), "sources", "that the circuit reads"),
            "faithfulness": (
                only(best.faithfulness),
                "share",
                "of the objective it keeps",
            ),
            "random": (
                only(by_chance.normalised.mean()),
                "share",
                "that random circuits of its size keep",
            ),
            "full": (kept.full, units, "objective with all edges"),
            "none": (kept.none, units, "objective with none"),
        }
        found = {
            name: Quantity(jnp.asarray(values, jnp.float32), (), unit, meaning)
            for name, (values, unit, meaning) in series.items()
        }
        for name, value, meaning in (
            ("error", only(error), "standard error of the faithfulness"),
            ("told", kept.told, "standard errors between all edges and none"),
        ):
            found[name] = Quantity(value, (), "", meaning, role="diagnostic")
        found["null_jaccard"] = Quantity(
            sure.null_jaccard,
            (),
            "share",
            "Jaccard index of the circuits of two halves of the pairs",
            role="diagnostic",
        )
        found["curve"] = Quantity(
            kept.normalised,
            ("share",),
            "share",
            "of the objective that circuits of several sizes keep",
            role="detail",
        )
        return found

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Names of sources and destinations, and the sizes as shares of all edges."""
        del task, key
        table = graph(config)
        return {
            "source": list(table.sources),
            "destination": list(table.destinations),
            "share": [f"{size:g}" for size in self.sizes],
        }


def circuit(
    method: str = "eap_ig_inputs",
    steps: int = 5,
    objective: str = "logit_difference",
    ablation: str = "resample",
    n_pairs: int = 64,
    sizes: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0),
    at_least: float = 0.8,
    resamples: int = 200,
) -> Circuit:
    """The measurement of a task's circuit.

    Args:
        method: How edges are scored: a method that tells examples apart.
        steps: Of a method that integrates; others take none.
        objective: What a circuit is to keep, of pairs.
        ablation: What edges outside the circuit carry.
        n_pairs: Clean and corrupted test examples; at least 4.
        sizes: Shares of all edges that circuits are tried at, ascending, up to 1.
        at_least: Share of the objective that is enough.
        resamples: Draws of the bootstrap.

    Raises:
        ValueError: an option does not fit.
    """
    row = find(circuits.METHODS, method, kind="method")
    takes_steps = "steps" in getattr(row.build, "__dataclass_fields__", ())
    built = row.build(**({"steps": steps} if takes_steps else {}))
    if not built.adds:
        raise ValueError(
            f"circuit: method {method!r} looks at all examples together, so it gives "
            "no intervals. Choose one that adds over examples, such as 'eap'."
        )
    if find(OBJECTIVES, objective, kind="objective").takes != "pairs":
        names = [row.name for row in OBJECTIVES if row.takes == "pairs"]
        raise ValueError(
            f"circuit: objective {objective!r} is not one of pairs; choose one of "
            f"{', '.join(names)}."
        )
    if n_pairs < 4:
        raise ValueError(f"circuit: `n_pairs` must be at least 4; got {n_pairs}.")
    sizes = tuple(map(float, sizes))
    if not sizes or list(sizes) != sorted(set(sizes)) or not 0 < sizes[0] <= 1:
        raise ValueError(
            f"circuit: `sizes` must be ascending shares in (0, 1]; got {list(sizes)}."
        )
    if sizes[-1] > 1:
        raise ValueError(
            f"circuit: a share of all edges is at most 1; got {sizes[-1]}."
        )
    return Circuit(
        built,
        find(circuits.ABLATIONS, ablation, kind="ablation").build(),
        objective,
        n_pairs,
        sizes,
        at_least,
        resamples,
    )


SPEC = MeasurementSpec(
    name="circuit",
    summary="scores of all edges with intervals, the smallest circuit, faithfulness",
    build=circuit,
    tiny={"n_pairs": 4, "sizes": (0.2, 1.0), "resamples": 4, "method": "eap"},
)
