"""Run a model of which only some features and errors are left as they are."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..models import AbstractIntervention, in_blocks
from ..saes import Dictionary
from ._dictionaries import Dictionaries, directions
from ._latents import Latents


class KeepNodes(AbstractIntervention):
    """Put features and errors in place of those of a site that are not kept.

        x ← x + Σ_i (1 - keep_i) (f'_i - f_i) W_dec,i + (1 - keep_ε) (ε' - ε)

    with f and ε of the activation that comes by. Written as a change, so that with all
    nodes kept it is the model itself, to the bit.

    Args:
        site: Own name of the site.
        dictionary: One for each layer, stacked.
        keep: Which nodes stay; the last one is the error.
        features: What is put in place of features.
        errors: What is put in place of errors.
        here: Which layers have a dictionary.
    """

    site: str = eqx.field(static=True)
    dictionary: Dictionary
    keep: Bool[Array, "..."]
    features: Float[Array, "..."]
    errors: Float[Array, "..."]
    here: Bool[Array, "..."]

    @property
    def sites(self) -> tuple[str, ...]:
        """The one site."""
        return (self.site,)

    @property
    def layered(self) -> tuple[str, ...]:
        """Everything, in the blocks."""
        every = ("dictionary", "keep", "features", "errors", "here")
        return every if in_blocks(self.site) else ()

    def __call__(self, site, x, memory, tape):
        """The activation with nodes put in place."""
        del site, tape
        f = self.dictionary.encode(x)
        error = x - self.dictionary(x)
        keep, keep_error = self.keep[..., :-1], self.keep[..., -1:]
        off = jnp.where(jnp.broadcast_to(keep, f.shape), 0, self.features - f)
        left = jnp.where(jnp.broadcast_to(keep_error, x.shape), 0, self.errors - error)
        change = off @ directions(self.dictionary) + left
        return x + jnp.where(self.here, change, 0).astype(x.dtype), memory


def keep_nodes(
    dictionaries: Dictionaries, keep: dict[str, Bool[Array, "..."]], instead: Latents
) -> tuple[KeepNodes, ...]:
    """The interventions of a circuit, one for each site.

    Args:
        dictionaries: Of the model's places.
        keep: Site -> which nodes are kept, [layer, pos, node].
        instead: What is put in place of the others.
    """
    found = []
    for site, d in dictionaries.by_site.items():
        parts = (d, keep[site], instead.features[site], instead.errors[site])
        parts = (*parts, dictionaries.here[site])
        if not in_blocks(site):
            parts = jax.tree.map(lambda x: x[0], parts)
        own, kept, features, errors, here = parts
        found.append(KeepNodes(site, own, kept, features, errors, here))
    return tuple(found)
