"""Samplers with momentum: one gradient a step, between two half drifts."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import count, keep, linear_combination, normal_like, squared_norm
from ._local import Evaluation, Local
from ._sampler import AbstractSampler, Info, Number, length


class Moving(NamedTuple):
    """State of a chain with momentum.

    Args:
        position: The weights, where the next gradient is taken.
        momentum: Half a step away from it.
        friction: Per unit of time; a thermostat changes it.
    """

    position: PyTree
    momentum: PyTree
    friction: Float[Array, ""]


class _AbstractMomentumSampler(AbstractSampler):
    """Splittings of Langevin dynamics; `step_size` is the time step h.

    SGLD with step size h² is the same chain with the momentum drawn anew at each step.
    """

    friction: eqx.AbstractVar[Number]

    def __check_init__(self):
        self._check_numbers()
        if isinstance(self.friction, int | float) and not self.friction > 0:
            raise ValueError(
                f"{type(self).__name__}: `friction` must be positive, or nothing holds "
                f"the temperature; got {self.friction}."
            )

    @property
    def has_momentum(self) -> bool:
        """Always: the chain moves by its momentum."""
        return True

    def init(self, position: PyTree, local: Local, *, key: Key[Array, ""]) -> Moving:
        """A chain at w* with a thermal momentum: one at rest would have to warm up."""
        momentum = keep(normal_like(key, position), local.mask)
        return Moving(position, momentum, jnp.asarray(self.friction))

    def position(self, state: Moving) -> PyTree:
        """The weights in a state."""
        return state.position

    def _kick(self, state: Moving, local: Local, at: Evaluation) -> tuple[PyTree, Info]:
        """The momentum after a whole kick, and what to say of it."""
        away = local.displacement(state.position)
        pull, drag = -self.step_size * self._t, -self.step_size * self.gamma
        momentum = linear_combination(
            (1, state.momentum), (pull, at.gradient), (drag, away)
        )
        h = self.step_size
        info = Info(
            at.loss,
            at.excess,
            length(at.gradient, pull * h),
            length(away, drag * h),
            jnp.zeros_like(at.loss),
            jnp.ones_like(at.loss),
        )
        return momentum, info

    def _bounce(
        self, w: PyTree, momentum: PyTree, local: Local
    ) -> tuple[PyTree, PyTree]:
        """Reflection at the walls turns the momentum round as well."""
        if self.box is None:
            return w, momentum
        inside = local.reflect(w, self.box)
        # One reflection is all that a stable step can need.
        turned = jax.tree.map(
            lambda p, a, b: jnp.where(a == b, p, -p), momentum, w, inside
        )
        return inside, turned


class SGHMC(_AbstractMomentumSampler):
    """Underdamped Langevin dynamics (Chen et al. 2014), by the BAOAB splitting.

    With full batches the positions are exact on a quadratic at every stable step size,
    h² (n_beta h_i + gamma) < 4 (Leimkuhler & Matthews 2013); minibatch noise heats it,
    by the variance that the kicks add.

    Args:
        step_size: h, the time step.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation.
        box: Half the side of a box around w*, at whose walls the chain is reflected.
        friction: Per unit of time; momentum is forgotten in 1 / (friction h) steps.

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
        """Kick, half drift, friction and noise, half drift."""
        del adapt
        h, at = self.step_size, local.evaluate(state.position)
        momentum, info = self._kick(state, local, at)
        w = linear_combination((1, state.position), (h / 2, momentum))
        noise = keep(normal_like(key, w), local.mask)
        forget = jnp.exp(-self.friction * h)
        fresh = jnp.sqrt(-jnp.expm1(-2 * self.friction * h))
        momentum = linear_combination((forget, momentum), (fresh, noise))
        w = linear_combination((1, w), (h / 2, momentum))
        after = Moving(*self._bounce(w, momentum, local), state.friction)
        return after, info._replace(noise_norm=length(noise, fresh * h))


class SGNHT(_AbstractMomentumSampler):
    """Stochastic gradient Nosé-Hoover thermostat (Ding et al. 2014), by BADODAB.

    The friction ξ follows dξ/dt = |p|²/d - 1, so the heat that minibatch noise brings
    is taken out again and the kinetic temperature is right without knowing the noise
    (splitting of Leimkuhler & Shang 2016).

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
        """Kick, half drift, half thermostat, friction and noise, and back."""
        del adapt
        h, at = self.step_size, local.evaluate(state.position)
        momentum, info = self._kick(state, local, at)
        w = linear_combination((1, state.position), (h / 2, momentum))
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
