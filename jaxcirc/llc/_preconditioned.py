"""Preconditioned SGLD: a step size of its own for every coordinate."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from .._core import keep, linear_combination, normal_like
from ._local import Local
from ._sampler import AbstractSampler, Info, Number, length
from ._sgld import langevin_heating


class Moments(NamedTuple):
    """State of a preconditioned chain: weights and averages of the gradient.

    Args:
        position: The weights.
        first: Running mean of the gradient.
        second: Running mean of its square.
        updates: How often the two have been updated.
    """

    position: PyTree
    first: PyTree
    second: PyTree
    updates: Int[Array, ""]


class AbstractPreconditionedSGLD(AbstractSampler):
    """w ← w - ε/2 G (n_beta g + gamma (w - w*)) + √(ε G) η, with a diagonal G."""

    frozen: eqx.AbstractVar[bool]

    def __check_init__(self):
        self._check_numbers()

    @property
    def needs_burnin(self) -> bool:
        """Whether G is learnt in burn-in and frozen after it."""
        return self.frozen

    @property
    def is_preconditioned(self) -> bool:
        """True: G is what this sampler is about."""
        return True

    def init(self, position: PyTree, local: Local, *, key: Key[Array, ""]) -> Moments:
        """The position with averages of 0 and 1: the first steps are ordinary ones.

        Args:
            position: Weights w*.
            local: Not used, since no gradient is taken yet.
            key: Not used, since nothing is random.
        """
        del local, key
        zeros = jax.tree.map(jnp.zeros_like, position)
        ones = jax.tree.map(jnp.ones_like, position)
        return Moments(position, zeros, ones, jnp.int32(0))

    def position(self, state: Moments) -> PyTree:
        """The weights, without the averages."""
        return state.position

    def metric(self, state: Moments) -> PyTree:
        """The diagonal of G, as it is at this state."""
        return self.preconditioner(state)

    @abc.abstractmethod
    def learn(self, state: Moments, gradient: PyTree) -> Moments:
        """The state whose averages have taken in one more gradient.

        Args:
            state: State of the chain.
            gradient: Gradient of the step's mean loss, without `n_beta`.
        """

    @abc.abstractmethod
    def preconditioner(self, state: Moments) -> PyTree:
        """The diagonal of G."""

    def drift(self, state: Moments, gradient: PyTree) -> PyTree:
        """The direction that the step follows, before G is multiplied in.

        Args:
            state: State of the chain, after it has learnt from `gradient`.
            gradient: Gradient of the step's mean loss.
        """
        del state
        return gradient

    def step(
        self,
        state: Moments,
        local: Local,
        *,
        adapt: Bool[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Moments, Info]:
        """One step; its loss is that at the place it starts from.

        Args:
            state: State of the chain.
            local: The neighbourhood, with this step's examples.
            adapt: Whether this is burn-in, after which a frozen G stays as it is.
            key: Key of the noise.
        """
        at, away = local.evaluate(state.position), local.displacement(state.position)
        learnt = self.learn(state, at.gradient)
        if self.frozen:
            # Chosen leaf by leaf: a conditional would copy both states under vmap.
            learnt = jax.tree.map(lambda a, b: jnp.where(adapt, a, b), learnt, state)
        G = self.preconditioner(learnt)
        noise = keep(normal_like(key, state.position), local.mask)
        forward = jax.tree.map(jnp.multiply, G, self.drift(learnt, at.gradient))
        back = jax.tree.map(jnp.multiply, G, away)
        # Noise of variance ε G is what keeps the posterior where G is constant.
        shake = jax.tree.map(lambda g, z: jnp.sqrt(g) * z, G, noise)
        half = -0.5 * self.step_size
        pull, drag, kick = half * self._t, half * self.gamma, self.step_size**0.5
        w = linear_combination(
            (1, state.position), (pull, forward), (drag, back), (kick, shake)
        )
        info = Info(
            at.loss,
            at.excess,
            length(forward, pull),
            length(back, drag),
            length(shake, kick),
            jnp.ones_like(at.loss),
            langevin_heating(
                _unscaled(G, (pull, forward)),
                _unscaled(G, (pull, forward), (drag, back)),
                self.step_size,
            ),
        )
        return learnt._replace(position=local.reflect(w, self.box)), info


def _unscaled(G: PyTree, *moves: tuple[Number, PyTree]) -> PyTree:
    """A sum of moves in coordinates w / √G, where the noise is the same in each."""
    move = linear_combination(*moves)
    return jax.tree.map(lambda d, g: d / jnp.sqrt(g), move, G)


def average(
    old: PyTree, new: PyTree, decay: float | Array, *, square: bool = False
) -> PyTree:
    """A running mean of gradients, leaf by leaf.

    Args:
        old: The mean so far.
        new: One more gradient.
        decay: Share of the old mean that stays.
        square: Average squares instead.
    """

    def leaf(m: Float[Array, "..."], g: Float[Array, "..."]) -> Float[Array, "..."]:
        d = jnp.asarray(decay).astype(m.dtype)
        return d * m + (1 - d) * (g * g if square else g)

    return jax.tree.map(leaf, old, new)


def inverse_root(v: Array, floor: float | Array) -> Array:
    """1 / (√v + floor), the step size of each coordinate."""
    return 1 / (jnp.sqrt(v) + jnp.asarray(floor).astype(v.dtype))
