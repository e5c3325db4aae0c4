"""Batch top-k whose first latents reconstruct by themselves."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._abstract_batch_topk import AbstractBatchTopK
from ._architecture import (
    ArchitectureSpec,
    Number,
    Run,
    check_sizes,
    mean_square,
)
from ._aux_k import AuxK
from ._dictionary import Dictionary


class Matryoshka(AbstractBatchTopK):
    """Batch top-k; the loss is Σ_w |x - x̂_w|² over prefixes of the latents, and aux-k.

    x̂_w is what the first w latents write, with the bias, so that general features come
    first and are not absorbed by special ones (Bussmann et al. 2025). Every prefix has
    weight 1, and the last is all of the dictionary. Everything else is as in
    `BatchTopK`.

    Args:
        d_in: Width of the activations.
        d_sae: Number of latents.
        k: Latents of an activation on average; a leaf, which may be an array.
        widths: Lengths of the prefixes, rising; `d_sae` is added if it is not the last.
            None for d_sae / 16, / 4 and d_sae.
        aux: How dead latents are brought back; None for not at all.
        threshold_rate: Share of a batch's smallest latent in the running mean.
        d_out: Width of the target, for a transcoder; None for `d_in`.
        skip: Whether a linear map leads from input to output beside the latents.
        sites: Number of sites, for a crosscoder; None for one without an axis.
        decoder_norm: Length of each decoder row to begin with.
        dead_after: Tokens of silence after which a latent counts as dead; None for 4
            million, or for a tenth of a training that is shorter than ten times that.

    Raises:
        ValueError: a size is not positive, k exceeds `d_sae`, or the widths do not
            rise up to `d_sae`.

    Example:
        >>> from jaxcirc import saes
        >>> saes.Matryoshka(d_in=8, d_sae=32, k=3, widths=(4, 16)).prefixes
        (4, 16, 32)
    """

    d_in: int = eqx.field(static=True)
    d_sae: int = eqx.field(static=True)
    k: Number = 32
    widths: tuple[int, ...] | None = eqx.field(static=True, default=None)
    aux: AuxK | None = AuxK()
    threshold_rate: Number = 0.01
    d_out: int | None = eqx.field(static=True, default=None)
    skip: bool = eqx.field(static=True, default=False)
    sites: int | None = eqx.field(static=True, default=None)
    decoder_norm: float = eqx.field(static=True, default=0.1)
    dead_after: Number | None = None

    def __check_init__(self):
        # Equinox checks this class before the one above it, and widths hang on sizes.
        check_sizes("Matryoshka", self)
        edges = (0, *self.prefixes)
        if any(b <= a for a, b in zip(edges[:-1], edges[1:], strict=True)):
            raise ValueError(
                f"Matryoshka: `widths` must rise from 1 up to `d_sae`; got "
                f"{self.widths} for {self.d_sae} latents."
            )

    @property
    def prefixes(self) -> tuple[int, ...]:
        """Lengths of the prefixes, all of the dictionary included."""
        widths = self.widths
        if widths is None:
            widths = tuple(sorted({max(self.d_sae // n, 1) for n in (16, 4)}))
        return widths if widths[-1:] == (self.d_sae,) else (*widths, self.d_sae)

    def reconstruction(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """The sum of the squared errors of all prefixes.

        Args:
            dictionary: The dictionary.
            run: A batch and its latents.
        """
        error, total = run.error, mean_square(run.error)
        # From the outside in: each prefix lacks what the latents after it write.
        edges = self.prefixes
        place = jnp.arange(self.d_sae)
        for low, high in reversed(list(zip(edges[:-1], edges[1:], strict=True))):
            ring = (place >= low) & (place < high)
            between = jnp.where(jnp.broadcast_to(ring, run.f.shape), run.f, 0)
            error = error + dictionary.written(between)
            total = total + mean_square(error)
        return total


SPEC = ArchitectureSpec(
    "matryoshka_batchtopk",
    "batch top-k whose first latents reconstruct by themselves",
    Matryoshka,
    {"k": 3, "widths": (4, 8)},
    "Bussmann et al. 2025",
)
