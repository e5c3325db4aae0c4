"""Latents above a threshold that is trained."""

import dataclasses
from typing import Literal

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
    warmed,
)
from ._dictionary import Dictionary
from ._jump import jump, not_negative, step
from ._nonlinearity import Above


class JumpReLU(AbstractArchitecture):
    """f = pre where pre > θ, with a trained θ for each latent.

    The loss is |x - x̂|², summed over d_in, plus l0 · C, plus pre_act times the sum over
    dead latents of relu(θ - pre) |W_dec,i|; all are means over the batch. With L0 the
    number of an activation's latents, C is

    - `step`: L0 (Rajamanoharan et al. 2024);
    - `tanh`: Σᵢ tanh(tanh_scale fᵢ |W_dec,i|) (Conerly et al. 2025);
    - `quadratic`: 2 (L0 - L0*)² / L0*, of every activation;
    - `target`: (L0 / L0* - 1)², of the batch's mean L0.

    Gradients of jumps are estimated in a band around the threshold, from
    pre-activations before the jump: what is just below its threshold moves it as what
    is just above does. θ is float32 and is taken for 0 where it is negative.

    Args:
        d_in: Width of the activations.
        d_sae: Number of latents.
        l0: Coefficient of the sparsity.
        sparsity: Which C.
        target_l0: L0*; a leaf, which may be an array. `step` and `tanh` do without.
        warm_up: Share of the training over which the coefficient rises from 0. Latents
            that are cut off before they have found a direction do not come back.
        bandwidth: Width of the band, in units of pre-activations.
        threshold: θ to begin with.
        tanh_scale: How steep the tanh is.
        pre_act: Coefficient of what dead latents pay for being below their thresholds.
        to_input: Whether pre-activations get estimated gradients as well.
        d_out: Width of the target, for a transcoder; None for `d_in`.
        skip: Whether a linear map leads from input to output beside the latents.
        sites: Number of sites, for a crosscoder; None for one without an axis.
        decoder_norm: Length of each decoder row to begin with.
        dead_after: Tokens of silence after which a latent counts as dead; None for 4
            million, or for a tenth of a training that is shorter than ten times that.

    Raises:
        ValueError: a size is not positive, a coefficient is negative, `target_l0`
            exceeds `d_sae`, or `sparsity` is none of the four.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jaxcirc import saes
        >>> config = saes.JumpReLU(d_in=8, d_sae=32, sparsity="step", warm_up=0)
        >>> x = jax.random.normal(jax.random.key(1), (100, 8))
        >>> state, dictionary = saes.State.new(32), config.init(jax.random.key(0))
        >>> _, terms = config.loss(dictionary, x, x, state)
        >>> bool(terms.sparsity == terms.l0)
        True
    """

    d_in: int = eqx.field(static=True)
    d_sae: int = eqx.field(static=True)
    l0: Number = 1.0
    sparsity: Literal["step", "tanh", "quadratic", "target"] = eqx.field(
        static=True, default="quadratic"
    )
    target_l0: Number = 32
    warm_up: Number = 0.5
    bandwidth: Number = 0.05
    threshold: Number = 0.01
    tanh_scale: Number = 4.0
    pre_act: Number = 3e-6
    to_input: bool = eqx.field(static=True, default=False)
    d_out: int | None = eqx.field(static=True, default=None)
    skip: bool = eqx.field(static=True, default=False)
    sites: int | None = eqx.field(static=True, default=None)
    decoder_norm: float = eqx.field(static=True, default=0.1)
    dead_after: Number | None = None

    def __check_init__(self):
        check_sizes("JumpReLU", self)
        numbers = {"l0": self.l0, "warm_up": self.warm_up, "pre_act": self.pre_act}
        check_numbers("JumpReLU", 0, **numbers, threshold=self.threshold)
        check_numbers("JumpReLU", 1e-12, bandwidth=self.bandwidth)
        modes = ("step", "tanh", "quadratic", "target")
        if self.sparsity not in modes:
            raise ValueError(
                f"JumpReLU: `sparsity` must be one of {', '.join(modes)}; got "
                f"{self.sparsity!r}."
            )
        if self.sparsity in modes[2:]:
            check_target_l0(self.target_l0, self.d_sae)

    def nonlinearity(self) -> Above:
        """The threshold to begin with, in float32."""
        return Above(jnp.full(self.d_sae, jnp.asarray(self.threshold, jnp.float32)))

    def active(
        self, dictionary: Dictionary, pre: Float[Array, "batch d_sae"]
    ) -> Float[Array, "batch d_sae"]:
        """What is above its threshold, with estimated gradients.

        Args:
            dictionary: Whose thresholds are trained.
            pre: Pre-activations.
        """
        return jump(pre, self._theta(dictionary, pre), self.bandwidth, self.to_input)

    def penalty(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """The coefficient times C.

        Args:
            dictionary: The dictionary.
            run: A batch and its latents.
        """
        cost = self._cost(dictionary, run)
        return warmed(self.l0, self.warm_up, run.progress).astype(cost.dtype) * cost

    def auxiliary(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """What dead latents pay for being below their thresholds.

        Args:
            dictionary: The dictionary.
            run: A batch and its latents.
        """
        theta = self._theta(dictionary, run.pre)
        below = jax.nn.relu(jnp.broadcast_to(theta, run.pre.shape) - run.pre)
        weight = jnp.where(run.dead, dictionary.norms, 0)
        return jnp.asarray(self.pre_act, below.dtype) * (below @ weight).mean()

    def _theta(self, dictionary: Dictionary, pre: Array) -> Float[Array, " d_sae"]:
        """The thresholds, in the type of the pre-activations."""
        nonlinearity = dictionary.nonlinearity
        assert isinstance(nonlinearity, Above), "a jump-ReLU has thresholds"
        return not_negative(nonlinearity.threshold).astype(pre.dtype)

    def _cost(self, dictionary: Dictionary, run: Run) -> Float[Array, ""]:
        """C, mean over the batch."""
        if self.sparsity == "tanh":
            lengths = jnp.broadcast_to(dictionary.norms, run.f.shape)
            scale = jnp.asarray(self.tanh_scale, run.f.dtype)
            return jnp.tanh(scale * run.f * lengths).sum(-1).mean()
        theta = self._theta(dictionary, run.pre)
        l0 = step(run.pre, theta, self.bandwidth, self.to_input).sum(-1)
        target = jnp.asarray(self.target_l0, l0.dtype)
        if self.sparsity == "step":
            return l0.mean()
        if self.sparsity == "quadratic":
            return (2 / target * jnp.square(l0 - target)).mean()
        return jnp.square(l0.mean() / target - 1)

    def finished(self, dictionary: Dictionary, state: object) -> Dictionary:
        """The dictionary with thresholds that are not negative, as it was trained.

        Args:
            dictionary: As it was trained.
            state: Not used.
        """
        del state
        nonlinearity = dictionary.nonlinearity
        assert isinstance(nonlinearity, Above), "a jump-ReLU has thresholds"
        theta = jax.nn.relu(nonlinearity.threshold)
        return dataclasses.replace(dictionary, nonlinearity=Above(theta))


def check_target_l0(target: Number, d_sae: int) -> None:
    """Refuse a plain target that no dictionary of this size can meet.

    Args:
        target: L0*.
        d_sae: Number of latents.

    Raises:
        ValueError: the target is not positive, or exceeds the latents that there are.
    """
    if not isinstance(target, jax.Array) and not 0 < target <= d_sae:
        raise ValueError(
            f"JumpReLU: `target_l0` must be above 0 and at most `d_sae`, {d_sae}; got "
            f"{target}."
        )


SPEC = ArchitectureSpec(
    "jumprelu",
    "latents above a trained threshold; sparsity by step, tanh or a target L0",
    JumpReLU,
    {"target_l0": 4, "bandwidth": 1.0, "pre_act": 0.1},
    "Rajamanoharan et al. 2024",
)
