"""The features that carry a behaviour, at every checkpoint that has dictionaries."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, Key

from ... import feature_circuits as fc
from ..._core import find, fold_name, unknown
from ...circuits import jaccard
from ...models import Transformer
from ...objectives import OBJECTIVES
from ...tasks import AbstractTask
from ._dictionaries import AtSite
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity, Role

# Circuits are compared with random ones of their size, of which this many are run.
_RANDOM = 8
# A circuit is spoken of where the behaviour is so many standard errors from nothing.
TOLD = 3.0


class FeatureCircuit(PerCheckpoint):
    """Effects of all features with intervals, the smallest circuit, what that keeps.

    Pairs are the same at every checkpoint; dictionaries are the first twins of the row
    that is used. The circuit is the smallest of some sizes, chosen by absolute effect,
    that keeps `at_least` of the objective, and the largest where none does. Where the
    pairs do not tell the model from one with every node put in place, there is no
    behaviour to keep, and what is said of a circuit is NaN.
    """

    method: str = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    ablation: str = eqx.field(static=True)
    objective: str = eqx.field(static=True)
    n_pairs: int = eqx.field(static=True)
    sizes: tuple[int, ...] = eqx.field(static=True)
    at_least: float = eqx.field(static=True)

    @property
    def takes(self):
        """The dictionaries whose features these are."""
        return {"dictionaries": "a row `dictionaries`"}

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Effects by layer and node, and numbers of the circuit."""
        model = snapshot.model
        at: AtSite = snapshot.inputs["dictionaries"].artefacts["dictionaries"]
        pairs = task.pairs(self.n_pairs, split="test", key=fold_name(key, "pairs"))
        row = find(OBJECTIVES, self.objective, kind="objective")
        ask = {"objective": row.build(), "ablation": self.ablation}
        found = fc.effects(
            model, dictionaries_at(at, model), pairs, self.method, steps=self.steps,
            **ask,
        )  # fmt: skip
        family = fc.top(found, jnp.array(self.sizes))
        kept = fc.faithfulness(model, pairs, family, **ask)
        enough = kept.normalised >= self.at_least
        place = jnp.where(enough.any(), jnp.argmax(enough), len(self.sizes) - 1)
        best = family[place]
        rest = fc.completeness(model, pairs, best, **ask)
        alone = fc.faithfulness(model, pairs, best, errors="remove", **ask)
        size = kept.sizes[place]
        drawn = fc.random_nodes(found, size, _RANDOM, key=fold_name(key, "random"))
        chance = fc.faithfulness(model, pairs, drawn, **ask)
        known = kept.told > TOLD
        only = lambda x: jnp.where(known, jnp.asarray(x, jnp.float32), jnp.nan)
        of = "of the objective that"
        shares = {
            "faithfulness": (kept.normalised[place], f"{of} the circuit keeps"),
            "completeness": (rest.normalised[0], f"{of} is left without the circuit"),
            "features_alone": (alone.normalised[0], f"{of} its features keep alone"),
            "random": (chance.normalised.mean(), f"{of} random circuits keep"),
        }
        series = {name: (only(x), "share", says) for name, (x, says) in shares.items()}
        series |= {
            "size": (only(size), "nodes", "smallest circuit that keeps enough"),
            "error_share": (
                _error_share(found),
                "share",
                "of error nodes in all absolute effects",
            ),
            "full": (kept.full, row.units, "objective of the model"),
            "none": (kept.none, row.units, "objective with every node put in place"),
        }
        null = _halves(found, self.n_pairs, size, fold_name(key, "halves"))
        told = {
            "error": (only(kept.error[place]), "", "standard error of faithfulness"),
            "told": (kept.told, "", "standard errors between the model and none"),
            "null_jaccard": (null, "share", "of circuits of two halves of the pairs"),
        }
        return Outcome(
            _quantities(series, "series")
            | _quantities(told, "diagnostic")
            | _by_node(found, best, at, row.units)
        )


def dictionaries_at(at: AtSite, model: Transformer) -> fc.Dictionaries:
    """The first twins of a study's dictionaries, by their places.

    Args:
        at: What the row `dictionaries` has left.
        model: The model of the same checkpoint.
    """
    layers = (0,) if at.layers is None else at.layers
    name = lambda layer: at.site if at.layers is None else f"blocks.{layer}.{at.site}"
    given = {name(layer): at.of(layer=i, twin=0) for i, layer in enumerate(layers)}
    return fc.dictionaries_of(model, given)


def at_layers(values: dict[str, Array], at: AtSite) -> Float[Array, "layer node"]:
    """Numbers of all nodes at the layers that have a dictionary.

    Args:
        values: Site -> [layer, pos, node], with one entry of `pos`.
        at: What the row `dictionaries` has left.
    """
    rows = jnp.array((0,) if at.layers is None else at.layers)
    return values[at.site][rows, 0].astype(jnp.float32)


def _by_node(found, best, at: AtSite, units: str) -> dict[str, Quantity]:
    low, high = found.interval()
    parts = {
        "effect": (
            at_layers(found.mean, at),
            units,
            "of patching a node; the last is the error",
        ),
        "low": (at_layers(low, at), units, "lower end of its 95% interval"),
        "high": (at_layers(high, at), units, "upper end of its 95% interval"),
        "kept": (at_layers(best.keep, at), "", "whether the node is in the circuit"),
    }
    return {
        name: Quantity(values, ("layer", "node"), unit, meaning, role="detail")
        for name, (values, unit, meaning) in parts.items()
    }


def _quantities(parts, role: Role) -> dict[str, Quantity]:
    return {
        name: Quantity(jnp.asarray(values, jnp.float32), (), units, meaning, role=role)
        for name, (values, units, meaning) in parts.items()
    }


def _error_share(found: fc.Effects) -> Array:
    sizes = [jnp.abs(x) for x in found.mean.values()]
    whole = sum(x.sum() for x in sizes)
    errors = sum(x[..., -1].sum() for x in sizes)
    return jnp.where(whole > 0, errors / jnp.where(whole > 0, whole, 1), jnp.nan)


def _halves(found: fc.Effects, n: int, size, key) -> Array:
    """How alike circuits of two halves of the pairs are: chance at one checkpoint."""
    first = jr.permutation(key, n) < n // 2
    chosen = []
    for half in (first, ~first):
        values = {
            site: jnp.where(half.reshape(-1, 1, 1, 1), x, 0)
            for site, x in found.values.items()
        }
        some = eqx.tree_at(
            lambda e: (e.values, e.counts), found, (values, found.counts & half)
        )
        kept = fc.top(some, size).keep
        chosen.append(jnp.concatenate([x.ravel() for x in kept.values()])[None])
    return jaccard(*chosen)


def feature_circuit(
    method: str = "integrated_gradients",
    steps: int = 10,
    ablation: str = "resample",
    objective: str = "logit_difference",
    n_pairs: int = 32,
    sizes: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256),
    at_least: float = 0.8,
) -> FeatureCircuit:
    """The measurement of which features carry a behaviour.

    Args:
        method: A row of `feature_circuits.METHODS`.
        steps: Of an integrated gradient.
        ablation: What nodes are patched with, and put in place of: a row of
            `feature_circuits.ABLATIONS`.
        objective: A row of `OBJECTIVES` that takes pairs.
        n_pairs: Pairs, of the test split.
        sizes: Numbers of nodes that are tried, ascending.
        at_least: Share of the objective that the circuit has to keep.

    Raises:
        ValueError: an option does not fit.
    """
    for kind, name, known in (
        ("method", method, fc.METHODS),
        ("ablation", ablation, fc.ABLATIONS),
    ):
        if name not in known:
            raise ValueError(f"feature_circuit: {unknown(kind, name, known)}")
    row = find(OBJECTIVES, objective, kind="objective")
    if row.takes != "pairs":
        raise ValueError(
            f"feature_circuit: {objective!r} takes {row.takes}; name an objective of "
            "pairs, such as 'logit_difference'."
        )
    if not sizes or list(sizes) != sorted(set(sizes)) or sizes[0] < 1:
        raise ValueError(
            f"feature_circuit: `sizes` must ascend from at least 1; got {sizes}."
        )
    if n_pairs < 4 or steps < 1:
        raise ValueError(
            "feature_circuit: needs at least 4 pairs and 1 step; got "
            f"{n_pairs} and {steps}."
        )
    return FeatureCircuit(
        method, steps, ablation, objective, n_pairs, tuple(sizes), at_least
    )


_DICTIONARIES = (
    "{name: dictionaries, d_sae: 8, options: {k: 2}, updates: 4, batch_size: 8,"
    " n_examples: 4}"
)
SPEC = MeasurementSpec(
    name="feature_circuit",
    summary="features of dictionaries that carry a behaviour, and what they keep",
    build=feature_circuit,
    tiny={},
    tiny_study=(
        f"measure=[{_DICTIONARIES}, {{name: feature_circuit, method: attribution,"
        " n_pairs: 4, sizes: [2, 8], uses: {dictionaries: dictionaries}}]",
    ),
)
