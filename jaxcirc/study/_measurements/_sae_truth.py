"""How many of a task's planted features models have, and dictionaries find."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ... import saes
from ..._core import fold_name
from ...models import Transformer, TransformerConfig, capture
from ...tasks import AbstractTask
from ._dictionaries import AtSite
from ._measurement import Chunk, MeasurementSpec, PerChunk
from ._quantity import Outcome, Quantity

_MEANINGS = {
    "mcc": ("", "mean |cosine| of latents and true directions, matched best"),
    "random": ("", "the same of as many random directions"),
    "found": ("features", "whose latent has a |cosine| of at least `enough`"),
    "represented": ("features", "that the model names on most occasions"),
}


class SAETruth(PerChunk):
    """Dictionaries of the last position beside the features that the task planted.

    The model chooses the directions of features. They are regressed anew at each
    checkpoint from examples whose features are known (`saes.written_by`), and the
    latents of the first twin that fire are matched with them (`saes.mcc`). Random
    directions say what an MCC is worth in so few dimensions.

    A feature is represented where the model names it: among the highest logits at the
    last position, as many as an example has features, it is found on more than half of
    the examples that have it.
    """

    n_examples: int = eqx.field(static=True)
    enough: float = eqx.field(static=True)

    @property
    def takes(self):
        """The dictionaries that are judged."""
        return {"dictionaries": "a row `dictionaries`"}

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a task that has no planted features, or too few examples for them.

        Args:
            config: Not used.
            task: The study's task.

        Raises:
            ValueError: it has none, or directions cannot be told from the examples.
        """
        del config
        planted = task.features(jnp.zeros((1, task.n_ctx), jnp.int32))
        if planted is None:
            raise ValueError(
                "sae_truth: this task plants no features that dictionaries could be "
                "compared with; take `superposition`, or a task with a method "
                "`features`."
            )
        if self.n_examples <= planted.shape[-1]:
            raise ValueError(
                f"sae_truth: {self.n_examples} examples do not tell the directions of "
                f"{planted.shape[-1]} features; raise `n_examples`."
            )

    def __call__(
        self, chunk: Chunk, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """Counts and MCCs of every checkpoint, seed and layer."""
        at: AtSite = chunk.inputs["dictionaries"].artefacts["dictionaries"]
        tokens = task.sample(
            self.n_examples, split="test", key=fold_name(key, "examples")
        ).tokens
        there = task.features(tokens)
        assert there is not None  # `check` has refused such a task
        lead = at.density.shape[:3]
        flat = lambda tree: jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)
        truth, named = _seen(flat(chunk.models), at, tokens, there)
        truth = np.asarray(truth).reshape(*lead, *truth.shape[2:])
        found = {name: np.zeros(lead) for name in ("mcc", "random", "found")}
        host = jax.device_get((at.dictionary.W_dec, at.density))
        for place in np.ndindex(*lead):
            rows, density = (x[place][0] for x in host)
            alive = jnp.asarray(rows[density > 0])
            numbers = _beside(alive, truth[place], self.enough, key)
            for name, value in numbers.items():
                found[name][place] = value
        found["represented"] = np.asarray(named).reshape(lead[:2])
        return Outcome({
            name: Quantity(values.astype(np.float32), dims, *_MEANINGS[name])
            for name, values in found.items()
            for dims in [("layer",) * (values.ndim - 2)]
        })  # fmt: skip


@eqx.filter_jit
def _seen(
    models: Transformer,
    at: AtSite,
    tokens: Int[Array, "example pos"],
    there: Float[Array, "example feature"],
) -> tuple[Float[Array, "model layer feature d"], Int[Array, " model"]]:
    """Of each model the directions of features, and how many it names."""

    def one(model: Transformer) -> tuple[Array, Array]:
        logits, acts = capture(model, tokens, (at.site,))
        x = acts[at.site]
        x = x[None] if at.layers is None else x[jnp.array(at.layers)]
        truth = jax.vmap(lambda x: saes.written_by(there, x))(x[:, :, -1])
        return truth, _named(logits[:, -1], there)

    return jax.lax.map(one, models)


def _named(
    logits: Float[Array, "example answer"], there: Float[Array, "example feature"]
) -> Int[Array, ""]:
    """How many features the model names on more than half of their occasions."""
    logits, present = logits[:, : there.shape[1]], there > 0
    # The lowest logit that is among the highest, as many as there are features.
    places = jnp.maximum(present.sum(axis=1, keepdims=True) - 1, 0)
    lowest = jnp.take_along_axis(-jnp.sort(-logits, axis=1), places, axis=1)
    named = present & (logits >= jnp.broadcast_to(lowest, logits.shape))
    return (2 * named.sum(axis=0) > present.sum(axis=0)).sum(dtype=jnp.int32)


def _beside(
    alive: Float[Array, "latent d"], truth: np.ndarray, enough: float, key: Array
) -> dict[str, float]:
    """What latents have of the true directions, and what chance has."""
    if not len(alive):
        return {"mcc": 0.0, "random": 0.0, "found": 0.0}
    # Over all features, so that one without a latent counts 0.
    along = lambda rows: np.abs(saes.mcc(rows, jnp.asarray(truth)).cosine)
    found = along(alive)
    chance = along(jr.normal(fold_name(key, "random"), alive.shape))
    return {
        "mcc": float(found.mean()),
        "random": float(chance.mean()),
        "found": float((found >= enough).sum()),
    }


def sae_truth(n_examples: int = 4096, enough: float = 0.9) -> SAETruth:
    """The measurement of dictionaries beside planted features.

    Args:
        n_examples: Test examples from which directions are regressed; more than there
            are features.
        enough: The |cosine| from which a feature counts as found.

    Raises:
        ValueError: there are no examples, or `enough` is no cosine.
    """
    if n_examples < 1 or not 0 < enough <= 1:
        raise ValueError(
            "sae_truth: needs `n_examples` of at least 1 and `enough` in (0, 1]; got "
            f"{n_examples} and {enough}."
        )
    return SAETruth(n_examples, enough)


SPEC = MeasurementSpec(
    name="sae_truth",
    summary="planted features that models represent and dictionaries find, over steps",
    build=sae_truth,
    tiny={"n_examples": 32},
    tiny_study=(
        "task={name: superposition, n_features: 8, n_slots: 3}",
        "measure=[{name: dictionaries, d_sae: 8, options: {k: 2}, updates: 4,"
        " batch_size: 8, n_examples: 4}, {name: sae_truth, n_examples: 32,"
        " uses: {dictionaries: dictionaries}}]",
    ),
)
