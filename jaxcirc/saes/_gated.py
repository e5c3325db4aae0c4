"""Latents with a gate of their own."""

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
    mean_square,
    warmed,
)
from ._dictionary import Dictionary
from ._nonlinearity import Gate


class Gated(AbstractArchitecture):
    """f = 1[π > 0] relu(e^r_mag pre + b_mag) with gates π = pre + b_gate.

    The loss is |x - x̂|² + l1 Σᵢ relu(πᵢ) |W_dec,i| + |x - x̂_π|², where x̂_π is what the
    gates relu(π) write in place of the latents, by a decoder that is held fixed
    (Rajamanoharan et al. 2024, eq. 8). Squares are summed over d_in, the penalty over
    latents, and all are means over the batch. Since the penalty is on gates, latents do
    not shrink.

    Args:
        d_in: Width of the activations.
        d_sae: Number of latents.
        l1: Coefficient of the penalty, for activations of mean length √d_in.
        warm_up: Share of the training over which the coefficient rises from 0.
        frozen: Whether the decoder is held fixed where the gates write.
        d_out: Width of the target, for a transcoder; None for `d_in`.
        skip: Whether a linear map leads from input to output beside the latents.
        sites: Number of sites, for a crosscoder; None for one without an axis.
        decoder_norm: Length of each decoder row to begin with.
        dead_after: Tokens of silence after which a latent counts as dead; None for 4
            million, or for a tenth of a training that is shorter than ten times that.

    Raises:
        ValueError: a size is not positive, or a coefficient is negative.

    Example:
        >>> import jax
        >>> from jaxcirc import saes
        >>> dictionary = saes.Gated(d_in=8, d_sae=32).init(jax.random.key(0))
        >>> dictionary.b_enc is None, dictionary.nonlinearity.r_mag.shape
        (True, (32,))
    """

    d_in: int = eqx.field(static=True)
    d_sae: int = eqx.field(static=True)
    l1: Number = 5.0
    warm_up: Number = 0.05
    frozen: bool = eqx.field(static=True, default=True)
    d_out: int | None = eqx.field(static=True, default=None)
    skip: bool = eqx.field(static=True, default=False)
    sites: int | None = eqx.field(static=True, default=None)
    decoder_norm: float = eqx.field(static=True, default=0.1)
    dead_after: Number | None = None

    def __check_init__(self):
        check_sizes("Gated", self)
        check_numbers("Gated", 0, l1=self.l1, warm_up=self.warm_up)

    def nonlinearity(self) -> Gate:
        """Gates and magnitudes that begin equal."""
        zeros = lambda: jnp.zeros(self.d_sae)
        return Gate(zeros(), zeros(), zeros())

    def _b_enc(self) -> None:
        """The gates bring two biases of their own."""
        return

    def penalty(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """The coefficient times Σᵢ relu(πᵢ) |W_dec,i|, mean over the batch.

        Args:
            dictionary: Whose decoder weighs the gates.
            run: A batch and its latents.
        """
        cost = (self._gates(dictionary, run) @ dictionary.norms).mean()
        return warmed(self.l1, self.warm_up, run.progress).astype(cost.dtype) * cost

    def auxiliary(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """The squared error of what the gates write; without it they learn nothing.

        Args:
            dictionary: The dictionary.
            run: A batch and its latents.
        """
        held = jax.lax.stop_gradient
        fixed = lambda d: eqx.tree_at(lambda t: (t.W_dec, t.b_dec), d, replace_fn=held)
        writer = fixed(dictionary) if self.frozen else dictionary
        target = run.error + dictionary.output(run.x, run.f)
        error = held(target) - writer.output(run.x, self._gates(dictionary, run))
        return mean_square(error)

    def _gates(self, dictionary: Dictionary, run: Run) -> Float[Array, "batch d_sae"]:
        """The gates as far as they are open."""
        nonlinearity = dictionary.nonlinearity
        assert isinstance(nonlinearity, Gate), "a gated dictionary has gates"
        return jax.nn.relu(run.pre + nonlinearity.b_gate[None])


SPEC = ArchitectureSpec(
    "gated",
    "latents with gates of their own, which alone are penalised",
    Gated,
    {"l1": 0.5},
    "Rajamanoharan et al. 2024",
)
