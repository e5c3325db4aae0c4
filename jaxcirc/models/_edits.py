"""Edits: changes to a forward pass, as arrays.

Each edit names a site and holds arrays that are added, put in place or multiplied
there. At a site inside the blocks the arrays have a leading `layer` axis; the other
axes align with the site's from the right, as in NumPy: one factor per head at `attn.z`
(axes `pos, head, d_head`) has shape `[layer, head, 1]`. Since edits are arrays, a
sweep over heads, positions or strengths is a `jax.vmap` over edits.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class AbstractEdit(eqx.Module):
    """A change at one site."""

    site: eqx.AbstractVar[str]

    def __call__(self, x: Array) -> Array:
        """The edited activation; here the arrays have lost their layer axis."""
        raise NotImplementedError

    def at_layer(self, site: str, layer: int, n_layers: int) -> "AbstractEdit":
        """The same change at `site` of one layer, given arrays without a layer axis."""
        raise NotImplementedError


class Add(AbstractEdit):
    """Add `delta`: steering, and attribution as the gradient at a `delta` of zeros."""

    site: str = eqx.field(static=True)
    delta: Float[Array, "..."]

    def __call__(self, x: Array) -> Array:
        """`x + delta`."""
        return x + jnp.broadcast_to(self.delta, x.shape).astype(x.dtype)

    def at_layer(self, site: str, layer: int, n_layers: int) -> "Add":
        """Zero elsewhere."""
        return Add(site, _one_layer(self.delta, layer, n_layers, fill=0.0))


class Scale(AbstractEdit):
    """Multiply by `factor`: 0 ablates, 1 changes nothing."""

    site: str = eqx.field(static=True)
    factor: Float[Array, "..."]

    def __call__(self, x: Array) -> Array:
        """`x * factor`."""
        return x * jnp.broadcast_to(self.factor, x.shape).astype(x.dtype)

    def at_layer(self, site: str, layer: int, n_layers: int) -> "Scale":
        """One elsewhere."""
        return Scale(site, _one_layer(self.factor, layer, n_layers, fill=1.0))


class Replace(AbstractEdit):
    """Put `value` wherever `where` is true: patching and mean ablation."""

    site: str = eqx.field(static=True)
    value: Float[Array, "..."]
    where: Bool[Array, "..."]

    def __call__(self, x: Array) -> Array:
        """`value` where asked for, `x` elsewhere."""
        value = jnp.broadcast_to(self.value, x.shape).astype(x.dtype)
        return jnp.where(jnp.broadcast_to(self.where, x.shape), value, x)

    def at_layer(self, site: str, layer: int, n_layers: int) -> "Replace":
        """Nowhere else."""
        where = _one_layer(self.where, layer, n_layers, fill=False)
        return Replace(site, _one_layer(self.value, layer, n_layers, fill=0.0), where)


def _one_layer(x: Array, layer: int, n_layers: int, fill: float | bool) -> Array:
    return jnp.full((n_layers, *x.shape), fill, x.dtype).at[layer].set(x)
