"""Edits: changes to one site of a forward pass, as arrays and without memory.

Each edit names a site and holds arrays that are added, put in place or multiplied
there. At a site inside the blocks the arrays have a leading `layer` axis; the other
axes align with the site's from the right, as in NumPy: one factor per head at `attn.z`
(axes `pos, head, d_head`) has shape `[layer, head, 1]`. Since edits are arrays, a
sweep over heads, positions or strengths is a `jax.vmap` over edits.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from .._core import named_leaves
from ._config import TransformerConfig
from ._intervention import AbstractIntervention
from ._site_rows import in_blocks
from ._tape import Tape


class AbstractEdit(AbstractIntervention):
    """An intervention at one site that remembers nothing.

    A subclass has arrays, each of which broadcasts to the site's shape (after a leading
    `layer` axis inside the blocks), and says in `edited` what it makes of an activation
    with them.

    Attributes:
        site: Name of the place. A TransformerLens name with a layer
            (`blocks.0.attn.hook_z`) takes arrays without a `layer` axis and leaves the
            other layers as they are.
    """

    site: eqx.AbstractVar[str]

    @property
    def sites(self) -> tuple[str, ...]:
        """The one site that it changes."""
        return (self.site,)

    @property
    def layered(self) -> tuple[str, ...]:
        """All arrays, at a site inside the blocks."""
        fields = self.__dataclass_fields__
        return tuple(fields) if in_blocks(self.site) else ()

    def __call__(
        self, site: str, x: Array, memory: PyTree, tape: Tape
    ) -> tuple[Array, PyTree]:
        """The edited activation, and the memory as it was."""
        del site, tape
        return self.edited(x), memory

    @abstractmethod
    def edited(self, x: Array) -> Array:
        """The edited activation; here the arrays have lost their `layer` axis."""

    @abstractmethod
    def at_layer(self, site: str, layer: int, n_layers: int) -> "AbstractEdit":
        """The same change at one layer alone, given arrays without a `layer` axis.

        Args:
            site: The site's own name.
            layer: Where the change is made.
            n_layers: Layers of the model; in the others the edit changes nothing.
        """

    def check(self, config: TransformerConfig, table: Mapping[str, Any]) -> None:
        """Refuse arrays that do not broadcast to the site.

        Args:
            config: The model's config.
            table: Its sites; see `jaxcirc.models.sites`.

        Raises:
            ValueError: an array has other axes; the message gives both shapes.
        """
        del config
        place = table[self.site]
        per_layer = place.axes[:1] == ("layer",)
        for path, array in named_leaves(self).items():
            if not _broadcasts(array.shape, place.shape, per_layer):
                raise ValueError(
                    f"{type(self).__name__}({self.site!r}): `{path}` has shape "
                    f"{array.shape}, which does not broadcast to {place.shape} "
                    f"{place.axes}. Axes align from the right"
                    + (" after a leading layer axis." if per_layer else ".")
                )


class Add(AbstractEdit):
    """Add `delta` to the activation: x + delta.

    A direction added to the residual stream steers a model; the gradient with respect
    to a `delta` of zeros is that with respect to the activation, which attribution
    methods need.

    Args:
        site: Name of the place.
        delta: What to add, in the units of the activation.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Add
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> tokens, one = jnp.array([0, 1, 2]), Add("logits", jnp.ones(()))
        >>> moved = model(tokens, edits=(one,)) - model(tokens)
        >>> round(float(moved.mean()), 4)
        1.0
    """

    site: str = eqx.field(static=True)
    delta: Float[Array, "..."]

    def edited(self, x: Array) -> Array:
        """`x + delta`."""
        # Cast, or half precision would be widened from here on by a float32 edit.
        return x + jnp.broadcast_to(self.delta, x.shape).astype(x.dtype)

    def at_layer(self, site: str, layer: int, n_layers: int) -> "Add":
        """The same at one layer; zero is added elsewhere."""
        return Add(site, _one_layer(self.delta, layer, n_layers, fill=0.0))


class Scale(AbstractEdit):
    """Multiply the activation by `factor`: x · factor.

    A factor of 0 ablates, 1 changes nothing; a factor for each head, as an array
    [layer, head, 1] at `attn.z`, ablates heads, and the gradient at ones says how much
    the output depends on each.

    Args:
        site: Name of the place.
        factor: What to multiply by.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Scale, capture
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> second = Scale("attn.z", jnp.array([[[1.0], [0.0]]]))  # [layer, head, 1]
        >>> _, acts = capture(model, jnp.array([0, 1]), ["attn.z"], edits=(second,))
        >>> acts["attn.z"][0].any(axis=(0, 2)).tolist()  # by head
        [True, False]
    """

    site: str = eqx.field(static=True)
    factor: Float[Array, "..."]

    def edited(self, x: Array) -> Array:
        """`x * factor`."""
        return x * jnp.broadcast_to(self.factor, x.shape).astype(x.dtype)

    def at_layer(self, site: str, layer: int, n_layers: int) -> "Scale":
        """The same at one layer; others are multiplied by one."""
        return Scale(site, _one_layer(self.factor, layer, n_layers, fill=1.0))


class Replace(AbstractEdit):
    """Put `value` wherever `where` is true, and leave the activation elsewhere.

    With the activations of another run this is activation patching, with their mean it
    is mean ablation.

    Args:
        site: Name of the place.
        value: What to put there; it is given where `where` is false too, and not read.
        where: The entries that are replaced.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Replace, capture
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> config = TransformerConfig(
        ...     d_vocab=5, n_ctx=7, n_layers=1, d_model=4, n_heads=2
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> other, clean = jnp.array([4, 3, 2]), jnp.array([0, 1, 2])
        >>> logits, acts = capture(model, other, ["resid_post"])
        >>> patch = Replace("resid_post", acts["resid_post"], jnp.ones((1, 1, 1), bool))
        >>> bool(jnp.allclose(model(clean, edits=(patch,)), logits, atol=1e-5))
        True
    """

    site: str = eqx.field(static=True)
    value: Float[Array, "..."]
    where: Bool[Array, "..."]

    def edited(self, x: Array) -> Array:
        """`value` where asked for, `x` elsewhere."""
        value = jnp.broadcast_to(self.value, x.shape).astype(x.dtype)
        return jnp.where(jnp.broadcast_to(self.where, x.shape), value, x)

    def at_layer(self, site: str, layer: int, n_layers: int) -> "Replace":
        """The same at one layer; nothing is replaced elsewhere."""
        where = _one_layer(self.where, layer, n_layers, fill=False)
        return Replace(site, _one_layer(self.value, layer, n_layers, fill=0.0), where)


def _one_layer(x: Array, layer: int, n_layers: int, fill: float | bool) -> Array:
    return jnp.full((n_layers, *x.shape), fill, x.dtype).at[layer].set(x)


def _broadcasts(
    shape: tuple[int, ...], target: tuple[int, ...], per_layer: bool
) -> bool:
    """Whether an array fits a site; layers are counted, never broadcast."""
    if per_layer:
        if shape[:1] != target[:1]:
            return False
        shape, target = shape[1:], target[1:]
    # It must become the site's shape, not a larger one that both broadcast to.
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False
