"""ReLU latents, each of which costs what it writes."""

import equinox as eqx
from jaxtyping import Array, Float

from ._architecture import (
    AbstractArchitecture,
    ArchitectureSpec,
    Number,
    Run,
    check_numbers,
    check_sizes,
    warmed,
)
from ._dictionary import Dictionary
from ._nonlinearity import Relu


class Standard(AbstractArchitecture):
    """f = relu(pre) with loss |x - x̂|² + l1 Σᵢ fᵢ |W_dec,i|.

    The penalty weighs each latent by the length of its decoder row, so that nothing is
    won by shrinking a latent and stretching its row, and rows need no constraint. The
    square is summed over d_in, the penalty over latents, and both are means over the
    batch. Of a crosscoder, |W_dec,i| is the sum of the lengths over sites.

    Args:
        d_in: Width of the activations.
        d_sae: Number of latents.
        l1: Coefficient of the penalty, for activations of mean length √d_in.
        warm_up: Share of the training over which the coefficient rises from 0.
        d_out: Width of the target, for a transcoder; None for `d_in`.
        skip: Whether a linear map leads from input to output beside the latents.
        sites: Number of sites, for a crosscoder; None for one without an axis.
        decoder_norm: Length of each decoder row to begin with.
        dead_after: Tokens of silence after which a latent counts as dead; None for 4
            million, or for a tenth of a training that is shorter than ten times that.

    Raises:
        ValueError: a size is not positive, or a coefficient is negative.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> config = saes.Standard(d_in=2, d_sae=4, l1=0.0)
        >>> dictionary, x = config.init(jax.random.key(0)), jnp.array([[3.0, 4.0]])
        >>> value, terms = config.loss(dictionary, x, x, saes.State.new(4))
        >>> bool(value == terms.reconstruction), float(terms.sparsity)
        (True, 0.0)
    """

    d_in: int = eqx.field(static=True)
    d_sae: int = eqx.field(static=True)
    l1: Number = 5.0
    warm_up: Number = 0.05
    d_out: int | None = eqx.field(static=True, default=None)
    skip: bool = eqx.field(static=True, default=False)
    sites: int | None = eqx.field(static=True, default=None)
    decoder_norm: float = eqx.field(static=True, default=0.1)
    dead_after: Number | None = None

    def __check_init__(self):
        check_sizes("Standard", self)
        check_numbers("Standard", 0, l1=self.l1, warm_up=self.warm_up)

    def nonlinearity(self) -> Relu:
        """Latents are the positive pre-activations."""
        return Relu()

    def penalty(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """The coefficient times Σᵢ fᵢ |W_dec,i|, mean over the batch.

        Args:
            dictionary: Whose decoder weighs the latents.
            run: A batch and its latents.
        """
        cost = (run.f @ dictionary.norms).mean()
        return warmed(self.l1, self.warm_up, run.progress).astype(cost.dtype) * cost


SPEC = ArchitectureSpec(
    "standard",
    "ReLU; each latent costs its value times its decoder row's length",
    Standard,
    {"l1": 0.5},
    "Conerly et al. 2024",
)
