"""Underdamped Langevin dynamics."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import count, keep, linear_combination, normal_like, squared_norm
from ._local import Local
from ._momentum import AbstractMomentumSampler, Moving
from ._sampler import Info, Number, SamplerSpec, length


class SGHMC(AbstractMomentumSampler):
    """Underdamped Langevin dynamics (Chen et al. 2014), by the BAOAB splitting.

    With full batches the positions are exact on a quadratic at every stable step size,
    h² (n_beta h_i + gamma) < 4 (Leimkuhler & Matthews 2013); minibatch noise heats it,
    by the variance that the kicks add. Momentum carries the chain along flat directions
    that SGLD has to diffuse through, at one gradient a step.

    Args:
        step_size: h, the time step.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation.
        box: Half the side of a box around w*, at whose walls the chain is reflected.
        friction: ξ per unit of time; momentum is forgotten in 1 / (friction h) steps.

    Raises:
        ValueError: a number is out of range.
    """

    step_size: Number
    n_beta: Number | None = None
    gamma: Number = 1.0
    box: Number | None = None
    friction: Number = 1.0

    def step(
        self,
        state: Moving,
        local: Local,
        *,
        adapt: Bool[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Moving, Info]:
        """Kick, half drift, friction and noise, half drift.

        Args:
            state: State of the chain.
            local: The neighbourhood, with this step's examples.
            adapt: Not used, since this sampler tunes nothing.
            key: Key of the noise.
        """
        del adapt
        h, at = self.step_size, local.evaluate(state.position)
        momentum, info = self._kick(state, local, at)
        w = linear_combination((1, state.position), (h / 2, momentum))
        noise = keep(normal_like(key, w), local.mask)
        forget = jnp.exp(-self.friction * h)
        # This part is solved exactly; `expm1` keeps the digits of a weak friction.
        fresh = jnp.sqrt(-jnp.expm1(-2 * self.friction * h))
        before = _excess_energy(momentum, local.mask)
        momentum = linear_combination((forget, momentum), (fresh, noise))
        # The noise of the kicks is what friction takes out, so the temperature of the
        # positions is that of the momentum, half before and half after.
        heating = 0.5 * (before + _excess_energy(momentum, local.mask))
        w = linear_combination((1, w), (h / 2, momentum))
        after = Moving(*self._bounce(w, momentum, local), state.friction)
        return after, info._replace(
            noise_norm=length(noise, fresh * h), heating=heating
        )


def _excess_energy(momentum: PyTree, mask: PyTree | None) -> Float[Array, ""]:
    """Kinetic energy above that of temperature 1, which is d / 2."""
    energy = squared_norm(momentum)
    return 0.5 * (energy - jnp.asarray(count(momentum, mask)).astype(energy.dtype))


SPEC = SamplerSpec(
    "sghmc",
    "Langevin dynamics with momentum",
    SGHMC,
    {"step_size": 0.1, "friction": 2.0},
)
