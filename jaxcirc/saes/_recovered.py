"""What the model loses if a site is put in place by a dictionary."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._core import ratio, unknown
from ..models import AbstractIntervention


class Recovered(NamedTuple):
    """How well the model predicts with reconstructions in place of activations.

    Cross-entropies and divergences are means over all places that count, in nats. Look
    at the raw values beside the scores: the loss of a model without one site is so high
    that a score near 1 can hide a damage that is worth
    a model of half the size.

    Args:
        ce_clean: Cross-entropy of the model as it is.
        ce: With reconstructions.
        ce_zero: With the site set to zero.
        ce_mean: With the site set to its mean activation over all tokens.
        kl: Divergence KL(clean ‖ changed) of the predictions, with reconstructions.
        kl_zero: With zeros.
        kl_mean: With the mean.
        n_places: How many places that rests on.
    """

    ce_clean: Float[Array, "*member"]
    ce: Float[Array, "*member"]
    ce_zero: Float[Array, "*member"]
    ce_mean: Float[Array, "*member"]
    kl: Float[Array, "*member"]
    kl_zero: Float[Array, "*member"]
    kl_mean: Float[Array, "*member"]
    n_places: Int[Array, "*member"]

    def ce_score(self, ablation: str = "zero") -> Float[Array, "*member"]:
        """The share of the cross-entropy that the reconstruction recovers.

        (CE_ablated - CE) / (CE_ablated - CE_clean): 1 if nothing is lost, 0 if as much
        as by the ablation, negative if more. Published scores take `zero`; `mean` is
        the harder one, since it leaves what all tokens have in common.

        Args:
            ablation: `zero` or `mean`.

        Returns:
            The score; NaN if the ablation loses nothing.

        Raises:
            ValueError: the ablation is neither.

        Example:
            >>> import jax.numpy as jnp
            >>> from jaxcirc import saes
            >>> numbers = (2.0, 2.5, 7.0, 4.0, 0.6, 6.0, 3.0)
            >>> found = saes.Recovered(*map(jnp.asarray, numbers), jnp.asarray(100))
            >>> [round(float(found.ce_score(a)), 4) for a in ("zero", "mean")]
            [0.9, 0.75]
            >>> round(float(found.kl_score()), 4)
            0.9
        """
        worst = self._of("ce", ablation)
        return ratio(worst - self.ce, worst - self.ce_clean, empty=float("nan"))

    def kl_score(self, ablation: str = "zero") -> Float[Array, "*member"]:
        """The share of the divergence that the reconstruction avoids.

        (KL_ablated - KL) / KL_ablated: 1 if predictions are as they were, 0 if they are
        as far off as by the ablation. It also sees changes that make the model better.

        Args:
            ablation: `zero` or `mean`.

        Raises:
            ValueError: the ablation is neither.
        """
        worst = self._of("kl", ablation)
        return ratio(worst - self.kl, worst, empty=float("nan"))

    def _of(self, kind: str, ablation: str) -> Array:
        """The value under an ablation.

        Raises:
            ValueError: there is no such ablation.
        """
        if ablation not in ("zero", "mean"):
            raise ValueError(
                f"Recovered: {unknown('ablation', ablation, ('zero', 'mean'))}"
            )
        return getattr(self, f"{kind}_{ablation}")


class PutInPlace(AbstractIntervention):
    """Put activations in place of those of one layer, at some positions.

    Unlike `Replace` it holds them for one layer only, and the layer is an array, so
    that dictionaries of all layers are evaluated by one program.

    Args:
        site: Own name of the place.
        value: What to put there, with the axes of the site after its layer.
        where: Positions at which to do so.
        here: For each layer whether it is that one; None outside of the blocks.
    """

    site: str = eqx.field(static=True)
    value: Float[Array, "..."]
    where: Bool[Array, "*example pos"]
    here: Bool[Array, " layer"] | None

    @property
    def sites(self) -> tuple[str, ...]:
        """The one site that it changes."""
        return (self.site,)

    @property
    def layered(self) -> tuple[str, ...]:
        """Which layer it is, if the site is in the blocks."""
        return () if self.here is None else ("here",)

    def __call__(self, site, x, memory, tape):
        """The value where asked for, and the activation elsewhere."""
        del site, tape
        where = self.where if self.here is None else self.where & self.here
        where = where.reshape(*where.shape, *(1,) * (x.ndim - where.ndim))
        value = self.value.reshape(x.shape).astype(x.dtype)
        return jnp.where(jnp.broadcast_to(where, x.shape), value, x), memory
