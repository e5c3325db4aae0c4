"""How good a study's dictionaries are, at every checkpoint."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ... import saes
from ..._core import fold_name
from ...tasks import AbstractTask
from ._dictionaries import AtSite
from ._measurement import MeasurementSpec, PerCheckpoint, Snapshot
from ._quantity import Outcome, Quantity, Role

_DENSE = 0.1


class SAEQuality(PerCheckpoint):
    """Reconstruction, sparsity and recovered loss of the first twin, by layer.

    Examples are the test split's, the same at every checkpoint. Raw cross-entropies
    stand beside the scores, since a score near 1 can still be a large loss.
    """

    n_examples: int = eqx.field(static=True)
    skip: int = eqx.field(static=True)

    @property
    def takes(self):
        """The dictionaries that are judged."""
        return {"dictionaries": "a row `dictionaries`"}

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """The measures of this checkpoint's dictionaries."""
        at: AtSite = snapshot.inputs["dictionaries"].artefacts["dictionaries"]
        found = saes.evaluate(
            at.of(twin=0),
            snapshot.model,
            at.site,
            task,
            layer=None if at.layers is None else np.array(at.layers),
            skip=self.skip,
            n_examples=self.n_examples,
            key=fold_name(key, "examples"),
        )
        return Outcome(_quantities(found))


def _quantities(found: saes.Quality) -> dict[str, Quantity]:
    """Each measure with its units and meaning."""
    seen, firing, lost = found.reconstruction, found.firing, found.recovered
    dead, dense = firing.dead_share, firing.dense_share(_DENSE)
    series = {
        "l0": (firing.l0, "latents", "that fire on a token in the mean"),
        "fvu": (seen.fvu, "share", "of the variance that is not explained"),
        "ce_recovered": (lost.ce_score(), "share", "of the loss, against zeros"),
        "kl_recovered": (lost.kl_score(), "share", "of the divergence, against zeros"),
        "ce_recovered_mean": (lost.ce_score("mean"), "share", "against the mean"),
        "dead": (dead, "share", "of latents that fired on none of `n_tokens` tokens"),
        "dense": (dense, "share", "of latents that fired on more than a tenth of them"),
    }
    told = {
        "ce_clean": (lost.ce_clean, "nats", "cross-entropy of the model as it is"),
        "ce": (lost.ce, "nats", "cross-entropy with reconstructions"),
        "ce_zero": (lost.ce_zero, "nats", "cross-entropy with zeros"),
        "ce_mean": (lost.ce_mean, "nats", "cross-entropy with the mean activation"),
        "kl": (lost.kl, "nats", "divergence with reconstructions"),
        "kl_zero": (lost.kl_zero, "nats", "divergence with zeros"),
        "n_tokens": (firing.n_tokens, "tokens", "that dead latents are counted on"),
    }
    made = {}
    groups: tuple[tuple[dict, Role], ...] = ((series, "series"), (told, "diagnostic"))
    for group, role in groups:
        for name, (values, units, meaning) in group.items():
            values = jnp.asarray(values, jnp.float32)
            made[name] = Quantity(values, ("layer",), units, meaning, role=role)
    return made


def sae_quality(n_examples: int = 64, skip: int = 0) -> SAEQuality:
    """The measurement of how good dictionaries are.

    Args:
        n_examples: Test examples.
        skip: Positions at the start of each sequence that are left alone.

    Raises:
        ValueError: there are no examples.
    """
    if n_examples < 1 or skip < 0:
        raise ValueError(
            "sae_quality: needs `n_examples` of at least 1 and `skip` of at least 0; "
            f"got {n_examples} and {skip}."
        )
    return SAEQuality(n_examples, skip)


SPEC = MeasurementSpec(
    name="sae_quality",
    summary="L0, FVU, recovered loss, dead and dense latents of dictionaries",
    build=sae_quality,
    tiny={},
    tiny_study=(
        "measure=[{name: dictionaries, d_sae: 8, options: {k: 2}, updates: 4,"
        " batch_size: 8, n_examples: 4}, {name: sae_quality, n_examples: 4,"
        " uses: {dictionaries: dictionaries}}]",
    ),
)
