"""Langevin dynamics whose friction is a thermostat."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import count, keep, linear_combination, normal_like, squared_norm
from ._local import Local
from ._momentum import AbstractMomentumSampler, Moving
from ._sampler import Info, Number, SamplerSpec, length


class SGNHT(AbstractMomentumSampler):
    """Stochastic gradient Nosé-Hoover thermostat (Ding et al. 2014), by BADODAB.

    The friction ξ follows dξ/dt = |p|²/d - 1, so the heat that minibatch noise brings
    is taken out again and the kinetic temperature is right without knowing the noise
    (splitting of Leimkuhler & Shang 2016). One thermostat serves all d coordinates: it
    sets their mean temperature, and noise that differs between them is not evened out.

    Args:
        step_size: h, the time step.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation.
        box: Half the side of a box around w*, at whose walls the chain is reflected.
        friction: ξ at the start, and strength of the injected noise.

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
        """Kick, half drift, half thermostat, friction and noise, and back.

        Args:
            state: State of the chain.
            local: The neighbourhood, with this step's examples.
            adapt: Not used, since the thermostat works in burn-in and after.
            key: Key of the noise.
        """
        del adapt
        h, at = self.step_size, local.evaluate(state.position)
        momentum, info = self._kick(state, local, at)
        w = linear_combination((1, state.position), (h / 2, momentum))
        # Masked coordinates have no heat, and would make the others too hot.
        free = count(w, local.mask)
        friction = state.friction + h / 2 * _excess_heat(momentum, free)
        noise = keep(normal_like(key, w), local.mask)
        forget = jnp.exp(-friction * h)
        # (1 - exp(-2 ξ h)) / (2 ξ h), which is 1 at ξ = 0 and holds for ξ < 0 as well.
        x = 2 * friction * h
        near = jnp.abs(x) < 1e-4
        share = jnp.where(near, 1 - x / 2, -jnp.expm1(-x) / jnp.where(near, 1, x))
        fresh = jnp.sqrt(2 * self.friction * h * share)
        momentum = linear_combination((forget, momentum), (fresh, noise))
        friction = friction + h / 2 * _excess_heat(momentum, free)
        w = linear_combination((1, w), (h / 2, momentum))
        after = Moving(*self._bounce(w, momentum, local), friction)
        return after, info._replace(noise_norm=length(noise, fresh * h))


def _excess_heat(momentum: PyTree, free: int | Array) -> Float[Array, ""]:
    heat = squared_norm(momentum)
    return heat / jnp.asarray(free).astype(heat.dtype) - 1


SPEC = SamplerSpec(
    "sgnht",
    "Langevin dynamics with momentum and a thermostat",
    SGNHT,
    {"step_size": 0.05, "friction": 2.0},
)
