"""The k largest latents of each activation."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._architecture import (
    AbstractArchitecture,
    ArchitectureSpec,
    Number,
    Run,
    check_numbers,
    check_sizes,
)
from ._aux_k import AuxK, dead_latents
from ._dictionary import Dictionary
from ._nonlinearity import KeepTop


class TopK(AbstractArchitecture):
    """The k largest latents of each activation; the loss is |x - x̂|² and aux-k.

    Latents are in units of their decoder rows' lengths, so that which are largest does
    not depend on how long a row has become, and rows need no constraint. The square is
    summed over d_in and is a mean over the batch (Gao et al. 2024).

    Args:
        d_in: Width of the activations.
        d_sae: Number of latents.
        k: Latents that each activation may have; a leaf, which may be an array.
        aux: How dead latents are brought back; None for not at all.
        most: The largest k that a compiled program is for; None for k itself, which
            then has to be a plain number.
        d_out: Width of the target, for a transcoder; None for `d_in`.
        skip: Whether a linear map leads from input to output beside the latents.
        sites: Number of sites, for a crosscoder; None for one without an axis.
        decoder_norm: Length of each decoder row to begin with.
        dead_after: Tokens of silence after which a latent counts as dead; None for 4
            million, or for a tenth of a training that is shorter than ten times that.

    Raises:
        ValueError: a size is not positive, or k exceeds `d_sae` or `most`.

    Example:
        >>> import jax
        >>> from jaxcirc import saes
        >>> dictionary = saes.TopK(d_in=8, d_sae=32, k=3).init(jax.random.key(0))
        >>> f = dictionary.encode(jax.random.normal(jax.random.key(1), (5, 8)))
        >>> (f > 0).sum(-1).tolist()
        [3, 3, 3, 3, 3]
    """

    d_in: int = eqx.field(static=True)
    d_sae: int = eqx.field(static=True)
    k: int | Array = 32
    aux: AuxK | None = AuxK()
    most: int | None = eqx.field(static=True, default=None)
    d_out: int | None = eqx.field(static=True, default=None)
    skip: bool = eqx.field(static=True, default=False)
    sites: int | None = eqx.field(static=True, default=None)
    decoder_norm: float = eqx.field(static=True, default=0.1)
    dead_after: Number | None = None

    def __check_init__(self):
        check_sizes("TopK", self)
        check_numbers("TopK", 1, k=self.k)
        check_k("TopK", self.k, self.most, self.d_sae)

    @property
    def scales(self) -> bool:
        """Latents are in units of their decoder rows' lengths."""
        return True

    def nonlinearity(self) -> KeepTop:
        """The k largest, with k as an array."""
        most = self.d_sae if self.most is None else self.most
        if self.most is None and isinstance(self.k, int):
            most = self.k
        return KeepTop(jnp.asarray(self.k, jnp.int32), most)

    def active(
        self, dictionary: Dictionary, pre: Float[Array, "batch d_sae"]
    ) -> Float[Array, "batch d_sae"]:
        """The k largest by this architecture's k, which sweeps vary.

        Args:
            dictionary: Not used, since k is the architecture's.
            pre: Pre-activations.
        """
        del dictionary
        return self.nonlinearity()(pre)

    def auxiliary(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """What the dead latents leave of the error of the others.

        Args:
            dictionary: The dictionary.
            run: A batch and its latents.
        """
        return dead_latents(self.aux, dictionary, run)


def check_k(who: str, k: Number, most: int | None, d_sae: int) -> None:
    """Refuse more latents at a time than there are, and arrays without a bound.

    Args:
        who: Name of the architecture, for the message.
        k: Latents of each activation.
        most: Their bound.
        d_sae: Latents that there are.

    Raises:
        ValueError: k or its bound is too large, or k is an array without a bound.
    """
    if isinstance(k, jax.Array) and most is None:
        raise ValueError(
            f"{who}: `k` is an array, and a program is compiled for a largest k; say "
            "it as `most`, or give `k` as a plain number."
        )
    bound = k if most is None else most
    if bound > d_sae:
        raise ValueError(
            f"{who}: k = {bound} latents at a time, of a dictionary that has {d_sae}; "
            "give a smaller `k` or a larger `d_sae`."
        )
    if not isinstance(k, jax.Array) and k > bound:
        raise ValueError(f"{who}: k = {k} is above its bound, `most={bound}`.")


SPEC = ArchitectureSpec(
    "topk",
    "the k largest latents of each activation",
    TopK,
    {"k": 3},
    "Gao et al. 2024",
)
