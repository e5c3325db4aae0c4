"""How a circuit of features changes over training, beside what chance does."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ... import feature_circuits as fc
from ..._core import find, fold_name, unknown
from ...circuits import jaccard, weighted_jaccard
from ...objectives import OBJECTIVES
from ...tasks import AbstractTask
from ._dictionaries import AtSite
from ._feature_circuit import TOLD, dictionaries_at
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity


class FeatureCircuitChange(PerCheckpoint):
    """Similarity to the circuit of a reference, and what that circuit keeps here.

    Dictionaries of a study begin as those of the checkpoint before, so a feature keeps
    its number, and circuits are compared number by number. The circuit of the reference
    is also run in this checkpoint, with this checkpoint's dictionaries: where it keeps
    the behaviour the same features carry it, however the model around them has changed.
    What two halves of the pairs give at one checkpoint stands beside the similarity.
    """

    ablation: str = eqx.field(static=True)
    objective: str = eqx.field(static=True)
    n_pairs: int = eqx.field(static=True)

    @property
    def takes(self):
        """The circuits that are compared, and the dictionaries that they are of."""
        return {
            "circuit": "a row `feature_circuit`",
            "reference": "the circuit to compare with, such as `ID@last`",
            "dictionaries": "the row `dictionaries` that the circuits use",
        }

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Similarities, and the share that the circuit of the reference keeps."""
        model = snapshot.model
        at: AtSite = snapshot.inputs["dictionaries"].artefacts["dictionaries"]
        here = snapshot.inputs["circuit"].quantities
        there = snapshot.inputs["reference"].quantities
        stack = dictionaries_at(at, model)
        pairs = task.pairs(self.n_pairs, split="test", key=fold_name(key, "pairs"))
        row = find(OBJECTIVES, self.objective, kind="objective")
        kept = fc.faithfulness(
            model,
            pairs,
            fc.FeatureCircuit(_at_sites(there["kept"], at, stack), stack),
            ablation=self.ablation,
            objective=row.build(),
        )
        known = kept.told > TOLD
        masks = [jnp.nan_to_num(x["kept"]) for x in (here, there)]
        scores = [jnp.nan_to_num(x["effect"]) for x in (here, there)]
        both = {
            "jaccard": (jaccard(*masks), "of the nodes with those of the reference"),
            "weighted_jaccard": (
                weighted_jaccard(*scores),
                "Σ min / Σ max of absolute effects and those of the reference",
            ),
            "null_jaccard": (
                here["null_jaccard"],
                "of circuits of two halves of the pairs",
            ),
            "reference_here": (
                jnp.where(known, kept.normalised[0], jnp.nan),
                "of the objective that the reference's circuit keeps here",
            ),
        }
        return Outcome({
            name: Quantity(jnp.asarray(x, jnp.float32), (), "share", meaning)
            for name, (x, meaning) in both.items()
        })  # fmt: skip


def _at_sites(
    kept: Float[Array, "layer node"], at: AtSite, stack: fc.Dictionaries
) -> dict[str, Array]:
    """A mask by layer and node as a circuit has it."""
    rows = jnp.array((0,) if at.layers is None else at.layers)
    whole = jnp.zeros((len(stack.here[at.site]), kept.shape[-1]), bool)
    return {at.site: whole.at[rows].set(kept > 0)[:, None]}


def feature_circuit_change(
    ablation: str = "resample", objective: str = "logit_difference", n_pairs: int = 32
) -> FeatureCircuitChange:
    """The measurement of how a circuit of features changes.

    Args:
        ablation: What nodes are put in place of: a row of `feature_circuits.ABLATIONS`.
        objective: A row of `OBJECTIVES` that takes pairs.
        n_pairs: Pairs, of the test split.

    Raises:
        ValueError: an option does not fit.
    """
    if ablation not in fc.ABLATIONS:
        known = unknown("ablation", ablation, fc.ABLATIONS)
        raise ValueError(f"feature_circuit_change: {known}")
    row = find(OBJECTIVES, objective, kind="objective")
    if row.takes != "pairs" or n_pairs < 4:
        raise ValueError(
            "feature_circuit_change: needs an objective of pairs and 4 pairs at least; "
            f"got {objective!r} and {n_pairs}."
        )
    return FeatureCircuitChange(ablation, objective, n_pairs)


SPEC = MeasurementSpec(
    name="feature_circuit_change",
    summary="similarity of a circuit of features to a reference, and what that keeps",
    build=feature_circuit_change,
    tiny={},
    tiny_study=(
        "measure=[{name: dictionaries, d_sae: 8, options: {k: 2}, updates: 4,"
        " batch_size: 8, n_examples: 4}, {name: feature_circuit, method: attribution,"
        " n_pairs: 4, sizes: [2, 8], uses: {dictionaries: dictionaries}},"
        " {name: feature_circuit_change, n_pairs: 4, uses: {circuit: feature_circuit,"
        " reference: feature_circuit@last, dictionaries: dictionaries}}]",
    ),
)
