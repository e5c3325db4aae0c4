"""The latents of a study's dictionaries, to be looked at one by one."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from ... import saes
from ..._core import fold_name
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ._dictionaries import AtSite
from ._measurement import MeasurementSpec, Once
from ._quantity import Outcome, Quantity


class SAELatents(Once):
    """Examples, logit effects and neighbours of every latent, of the first seed.

    They are an artefact for each layer, of which the report makes a page, and no
    numbers of the study's own: only densities are.
    """

    n_sequences: int = eqx.field(static=True)
    n_examples: int = eqx.field(static=True)
    skip: int = eqx.field(static=True)

    @property
    def takes(self):
        """The dictionaries and the model that they read."""
        return {
            "dictionaries": "a row `dictionaries` at one step: `ID@last`",
            "model": "the model of that step: `model@last`",
        }

    def __call__(
        self,
        task: AbstractTask,
        inputs: Mapping[str, PyTree],
        *,
        key: Key[Array, ""],
    ) -> Outcome:
        """What there is to look at of each layer's first twin."""
        at: AtSite = inputs["dictionaries"].artefacts["dictionaries"]
        if at.density.ndim != 4:
            raise ValueError(
                "sae_latents: shows the dictionaries of one step; write "
                "`uses: {dictionaries: ID@last, model: model@last}`."
            )
        first = lambda tree: jax.tree.map(lambda x: x[0], tree)
        at, model = first(at), first(inputs["model"])
        examples = task.sample(
            self.n_sequences, split="test", key=fold_name(key, "examples")
        )
        found = {}
        for place, layer in enumerate(at.layers or (None,)):
            looked = saes.features(
                at.of(layer=place, twin=0),
                model,
                at.site,
                np.asarray(examples.tokens),
                layer=layer,
                skip=self.skip,
                n_examples=self.n_examples,
            )
            found[f"layer_{layer or 0}"] = {
                name: jnp.asarray(values) for name, values in looked._asdict().items()
            }
        density = np.stack([one["density"] for one in found.values()])
        n_tokens = jnp.bincount(examples.tokens.reshape(-1), length=task.d_vocab)
        return Outcome(
            {
                "density": Quantity(
                    density.astype(np.float32),
                    ("layer", "latent"),
                    "share",
                    "of positions at which a latent fires",
                    role="detail",
                ),
                # Its labels are the vocabulary of the pages.
                "occurrences": Quantity(
                    n_tokens,
                    ("token",),
                    "tokens",
                    "of each kind in the sequences",
                    role="detail",
                ),
            },
            found,
        )

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """What each token looks like."""
        del config, key
        return {"token": task.decode(jnp.arange(task.d_vocab))}


def sae_latents(
    n_sequences: int = 256, n_examples: int = 8, skip: int = 0
) -> SAELatents:
    """The measurement of what latents stand for.

    Args:
        n_sequences: Test sequences to look through.
        n_examples: Sequences that are shown of each latent.
        skip: Positions at the start of each sequence that are left out.

    Raises:
        ValueError: nothing is to be looked through.
    """
    if min(n_sequences, n_examples) < 1 or skip < 0:
        raise ValueError(
            "sae_latents: needs at least one sequence and one example, and `skip` of "
            f"at least 0; got {n_sequences}, {n_examples} and {skip}."
        )
    return SAELatents(n_sequences, n_examples, skip)


SPEC = MeasurementSpec(
    name="sae_latents",
    summary="a page of the latents of dictionaries, with examples and logit effects",
    build=sae_latents,
    tiny={},
    tiny_study=(
        "measure=[{name: dictionaries, d_sae: 8, options: {k: 2}, updates: 4,"
        " batch_size: 8, n_examples: 4}, {name: sae_latents, n_sequences: 8,"
        " uses: {dictionaries: dictionaries@last, model: model@last}}]",
    ),
)
