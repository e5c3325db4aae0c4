"""Which features of a study's dictionaries persist, come and go over training."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Key, PyTree

from ... import saes
from ..._core import fold_name
from ...tasks import AbstractTask
from ._dictionaries import AtSite
from ._measurement import MeasurementSpec, Once
from ._quantity import Outcome, Quantity

_AXES = ("model", "dictionaries_step", "layer")
_MEANINGS = {
    "persist": "of features that the checkpoint before has",
    "twin": "of features that another seed's dictionary of the same checkpoint has",
    "random": "of features that random directions have",
    "features": "that live, short absences included",
    "births": "that begin and stay, and are no part of another",
    "births_twin": "the same in the dictionaries of another seed",
    "births_shared": "of the births, that another seed's dictionary has as well",
    "deaths": "that have ended since the checkpoint before, without a successor",
    "splits": "that begin as a part of another feature",
    "drift": "1 - cos for each doubling of 1 + step, mean over features",
}
_SHARES = ("persist", "twin", "random")


class SAEFeatures(Once):
    """Features of warm-started dictionaries, followed over all checkpoints.

    A latent is found in another dictionary where the cosine of their decoder rows is at
    least `rules.enter` under the best assignment. Beside what persists from checkpoint
    to checkpoint stands what the second twin has of the same checkpoint, and what
    random directions have: only what exceeds both speaks of the model. Births and
    deaths are those of `saes.lives`; a birth that the twin shares is one of the model
    rather than of one dictionary.
    """

    rules: saes.Rules = eqx.field(static=True)

    @property
    def takes(self):
        """The dictionaries that are followed."""
        return {"dictionaries": "a row `dictionaries` at all steps: `ID@all`"}

    def __call__(
        self,
        task: AbstractTask,
        inputs: Mapping[str, PyTree],
        *,
        key: Key[jax.Array, ""],
    ) -> Outcome:
        """Shares and counts by model, checkpoint and layer."""
        del task
        at: AtSite = inputs["dictionaries"].artefacts["dictionaries"]
        if at.density.ndim != 5:
            raise ValueError(
                "sae_features: follows dictionaries over training; write "
                "`uses: {dictionaries: ID@all}`."
            )
        models, n_steps, layers = at.density.shape[:3]
        found = {name: np.full((models, n_steps, layers), np.nan) for name in _MEANINGS}
        host = jax.device_get(at)
        for model in range(models):
            for layer in range(layers):
                one = jax.tree.map(lambda x, m=model: x[m], host)
                numbers = _followed(one, layer, self.rules, fold_name(key, "match"))
                for name, values in numbers.items():
                    found[name][model, :, layer] = values
        return Outcome({
            name: Quantity(values.astype(np.float32), _AXES, _units(name), meaning)
            for name, values in found.items()
            for meaning in [_MEANINGS[name]]
        })  # fmt: skip


def _units(name: str) -> str:
    return "share" if name in _SHARES else "" if name == "drift" else "features"


def _followed(
    at: AtSite, layer: int, rules: saes.Rules, key: Key[jax.Array, ""]
) -> dict[str, np.ndarray]:
    """What there is of one model and one layer, by checkpoint."""
    steps = [int(step) for step in at.step]
    twins = at.density.shape[2]
    runs = [_run(at, layer, twin) for twin in range(min(twins, 2))]
    lived = [_lives(run, at.density[:, layer, i], steps, rules)
             for i, run in enumerate(runs)]  # fmt: skip
    found = _shares(runs, at.density[:, layer], rules, key)
    mine = lived[0]
    found["features"] = mine.present.sum(axis=0)
    for name in ("births", "deaths", "splits"):
        found[name] = getattr(mine, name).astype(float)
    # Before `persist` checkpoints have passed nothing can have been away.
    for name in ("births", "deaths"):
        found[name][: rules.persist] = np.nan
    if len(runs) > 1:
        found["births_twin"] = lived[1].births.astype(float)
        found["births_shared"] = _shared(mine, runs, rules)
        for name in ("births_twin", "births_shared"):
            found[name][: rules.persist] = np.nan
    drift, known = mine.drift, np.isfinite(mine.drift)
    total = np.where(known, drift, 0).sum(axis=0)
    found["drift"] = np.where(
        known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan
    )
    return found


def _run(at: AtSite, layer: int, twin: int) -> list[saes.Dictionary]:
    """A twin's dictionaries of a layer, one for each checkpoint."""
    pick = lambda place: jax.tree.map(
        lambda x: jnp.asarray(x[place, layer, twin]), at.dictionary
    )
    return [pick(place) for place in range(len(at.step))]


def _lives(run, density, steps, rules) -> saes.Lives:
    """The lives of a twin's features, by directions of decoder rows."""
    tables: dict[tuple[int, int], np.ndarray] = {}

    def similar(earlier: int, later: int) -> np.ndarray:
        if (earlier, later) not in tables:
            tables[earlier, later] = _cosines(run[earlier], run[later])
        return tables[earlier, later]

    return saes.lives(similar, list(density), steps, rules)


def _cosines(a: saes.Dictionary, b: saes.Dictionary) -> np.ndarray:
    return np.asarray(saes.cosines(a.W_dec, b.W_dec))


def _shares(runs, density, rules, key) -> dict[str, np.ndarray]:
    """What each checkpoint's features have in common with others."""
    n = len(runs[0])
    found = {name: np.full(n, np.nan) for name in _SHARES}
    alive = density > rules.density
    for place, one in enumerate(runs[0]):
        before = max(place - 1, 0)
        other = runs[1][place] if len(runs) > 1 else None
        pair = (alive[place, 0], alive[before, 0])
        match = saes.match(one, runs[0][before], alive=pair, other=other, key=key)
        if place:
            found["persist"][place] = match.share(rules.enter)
        for name, null in (("random", "random"), ("twin", "seed")):
            if null in match.nulls:
                found[name][place] = match.nulls[null].share(rules.enter)
    return found


def _shared(lives: saes.Lives, runs, rules: saes.Rules) -> np.ndarray:
    """Births whose feature the other twin has at that checkpoint."""
    born = np.flatnonzero((lives.born >= rules.persist) & (lives.split_of < 0))
    counts = np.zeros(len(lives.steps))
    for place in np.unique(lives.born[born]):
        latents = lives.latents[born[lives.born[born] == place], place]
        near = _cosines(runs[0][place], runs[1][place])[latents].max(axis=1)
        counts[place] = (near >= rules.enter).sum()
    return counts


def sae_features(
    enter: float = 0.7,
    stay: float = 0.6,
    density: float = 1e-3,
    stay_density: float = 3e-4,
    persist: int = 2,
) -> SAEFeatures:
    """The measurement of features over training.

    Args:
        enter: The similarity that makes two latents one feature.
        stay: The similarity that continues a feature that is known.
        density: Share of the test tokens on which a latent must fire to count.
        stay_density: Share on which it must fire to go on counting.
        persist: Checkpoints for which what has come must stay.

    Raises:
        ValueError: the thresholds are in the wrong order.
    """
    return SAEFeatures(saes.Rules(enter, stay, density, stay_density, persist))


SPEC = MeasurementSpec(
    name="sae_features",
    summary="features of dictionaries that persist, are born and die over training",
    build=sae_features,
    tiny={},
    tiny_study=(
        "measure=[{name: dictionaries, d_sae: 8, options: {k: 2}, updates: 4,"
        " batch_size: 8, n_examples: 4}, {name: sae_features,"
        " uses: {dictionaries: dictionaries@all}}]",
    ),
)
