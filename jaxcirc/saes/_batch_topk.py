"""The largest latents of a whole batch."""

import equinox as eqx

from ._abstract_batch_topk import AbstractBatchTopK
from ._architecture import ArchitectureSpec, Number
from ._aux_k import AuxK


class BatchTopK(AbstractBatchTopK):
    """The k · batch largest latents of a batch; the loss is |x - x̂|² and aux-k.

    Activations that need more latents may have more (Bussmann et al. 2024). Latents are
    in units of their decoder rows' lengths, as in `TopK`. After training an activation
    has no batch: a latent is kept above a threshold, the running mean of the smallest
    latent that was kept in each batch, which `finished` puts into the dictionary.

    Args:
        d_in: Width of the activations.
        d_sae: Number of latents.
        k: Latents of an activation on average; a leaf, which may be an array, and need
            not be whole.
        aux: How dead latents are brought back; None for not at all.
        threshold_rate: Share of a batch's smallest latent in the running mean.
        d_out: Width of the target, for a transcoder; None for `d_in`.
        skip: Whether a linear map leads from input to output beside the latents.
        sites: Number of sites, for a crosscoder; None for one without an axis.
        decoder_norm: Length of each decoder row to begin with.
        dead_after: Tokens of silence after which a latent counts as dead; None for 4
            million, or for a tenth of a training that is shorter than ten times that.

    Raises:
        ValueError: a size is not positive, or k exceeds `d_sae`.

    Example:
        >>> import jax
        >>> from jaxcirc import saes
        >>> config = saes.BatchTopK(d_in=8, d_sae=32, k=2.5)
        >>> x = jax.random.normal(jax.random.key(1), (100, 8))
        >>> state, dictionary = saes.State.new(32), config.init(jax.random.key(0))
        >>> _, terms = config.loss(dictionary, x, x, state)
        >>> float(terms.l0)
        2.5
    """

    d_in: int = eqx.field(static=True)
    d_sae: int = eqx.field(static=True)
    k: Number = 32
    aux: AuxK | None = AuxK()
    threshold_rate: Number = 0.01
    d_out: int | None = eqx.field(static=True, default=None)
    skip: bool = eqx.field(static=True, default=False)
    sites: int | None = eqx.field(static=True, default=None)
    decoder_norm: float = eqx.field(static=True, default=0.1)
    dead_after: Number | None = None


SPEC = ArchitectureSpec(
    "batchtopk",
    "the k times batch largest latents of a batch; afterwards a threshold",
    BatchTopK,
    {"k": 3},
    "Bussmann et al. 2024",
)
