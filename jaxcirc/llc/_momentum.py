"""Samplers with momentum: one gradient a step, between two half drifts."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from .._core import keep, linear_combination, normal_like
from ._local import Evaluation, Local
from ._sampler import AbstractSampler, Info, Number, length


class Moving(NamedTuple):
    """State of a chain with momentum.

    Args:
        position: The weights, where the next gradient is taken.
        momentum: The velocity of the weights, as their masses are 1.
        friction: ξ per unit of time; SGNHT changes it at every step.
    """

    position: PyTree
    momentum: PyTree
    friction: Float[Array, ""]


class AbstractMomentumSampler(AbstractSampler):
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
        """Whether `step_size` is a time step: it is the splitting's."""
        return True

    def init(self, position: PyTree, local: Local, *, key: Key[Array, ""]) -> Moving:
        """The position, with a momentum drawn from its stationary distribution.

        Args:
            position: Weights w*.
            local: The neighbourhood, whose mask says which weights move.
            key: Key of the momentum.
        """
        momentum = keep(normal_like(key, position), local.mask)
        return Moving(position, momentum, jnp.asarray(self.friction))

    def retained(
        self, stiffness: Float[np.ndarray, " direction"]
    ) -> Float[np.ndarray, " direction"]:
        """How much of a direction's missing variance a step leaves, on a quadratic.

        That of a damped oscillator x'' = -s x - ξ x', whose slower mode falls like
        exp(-(ξ/2 - √(ξ²/4 - s)) time), and like exp(-ξ/2 time) where it swings.

        Args:
            stiffness: n_beta h_i + gamma of each direction.
        """
        half = np.asarray(self.friction) / 2
        rate = half - np.sqrt(np.maximum(half**2 - stiffness, 0))
        return np.exp(-2 * rate * np.asarray(self.step_size))

    def position(self, state: Moving) -> PyTree:
        """The weights, without the momentum."""
        return state.position

    def _kick(self, state: Moving, local: Local, at: Evaluation) -> tuple[PyTree, Info]:
        """The momentum after a whole kick, and what to say of it."""
        away = local.displacement(state.position)
        pull, drag = -self.step_size * self._t, -self.step_size * self.gamma
        momentum = linear_combination(
            (1, state.momentum), (pull, at.gradient), (drag, away)
        )
        # In units of the weights: a kick of the momentum moves them h times as far.
        h = self.step_size
        info = Info(
            at.loss,
            at.excess,
            length(at.gradient, pull * h),
            length(away, drag * h),
            jnp.zeros_like(at.loss),
            jnp.ones_like(at.loss),
            jnp.full_like(at.loss, jnp.nan),
        )
        return momentum, info

    def _bounce(
        self, w: PyTree, momentum: PyTree, local: Local
    ) -> tuple[PyTree, PyTree]:
        """The position reflected back into the box, and the momentum turned round."""
        if self.box is None:
            return w, momentum
        inside = local.reflect(w, self.box)
        # One reflection is all that a stable step can need.
        turned = jax.tree.map(
            lambda p, a, b: jnp.where(a == b, p, -p), momentum, w, inside
        )
        return inside, turned
