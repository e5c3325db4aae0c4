"""Samplers with an accept step, which have no discretisation bias: the oracles."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import linear_combination, squared_norm
from ._local import Evaluation, Local
from ._preconditioner import AbstractPreconditioner, root_of
from ._sampler import AbstractSampler, Info, Number, length


class Evaluated(NamedTuple):
    """State of a chain with an accept step.

    Args:
        position: The weights.
        at: Loss and gradient there, on all the data.
        tuning: What burn-in has learnt about the step size.
    """

    position: PyTree
    at: Evaluation
    tuning: "Tuning"


class Tuning(NamedTuple):
    """Dual averaging of a step size (Hoffman & Gelman 2014, §3.2).

    Args:
        scale: Factor on the step size in use.
        averaged: The factor that burn-in will end with.
        error: Running mean of target minus acceptance.
        updates: Steps so far.
    """

    scale: Float[Array, ""]
    averaged: Float[Array, ""]
    error: Float[Array, ""]
    updates: Float[Array, ""]


class AbstractMetropolisSampler(AbstractSampler):
    """A chain that tests its proposals, and so needs full batches.

    In burn-in the step size is tuned to a mean acceptance, starting from `step_size`.
    """

    target: eqx.AbstractVar[Number | None]
    preconditioner: eqx.AbstractVar[AbstractPreconditioner | None]

    def __check_init__(self):
        self._check_numbers()
        if isinstance(self.target, int | float) and not 0 < self.target < 1:
            raise ValueError(
                f"{type(self).__name__}: `target` is an acceptance in (0, 1), or None "
                f"to keep `step_size` as it is; got {self.target}."
            )

    @property
    def full_batch(self) -> bool:
        """True, since the test needs the exact density."""
        return True

    @property
    def is_preconditioned(self) -> bool:
        """Whether there is a `preconditioner`."""
        return self.preconditioner is not None

    def init(self, position: PyTree, local: Local, *, key: Key[Array, ""]) -> Evaluated:
        """The position, with loss and gradient there.

        Args:
            position: Weights w*.
            local: The neighbourhood, with all examples.
            key: Not used, since nothing is random.
        """
        del key
        one = jnp.ones_like(jnp.asarray(self.step_size))
        return Evaluated(
            position, local.evaluate(position), Tuning(one, one, 0 * one, 0 * one)
        )

    def _tune(
        self, tuning: Tuning, probability: Array, adapt: Bool[Array, ""]
    ) -> Tuning:
        if self.target is None:
            return tuning
        # The constants of Hoffman & Gelman: γ = 0.05, t0 = 10, κ = 0.75, μ = ln 10.
        n = tuning.updates + 1
        error = tuning.error + (self.target - probability - tuning.error) / (n + 10)
        log_scale = jnp.log(10.0).astype(n.dtype) - jnp.sqrt(n) / 0.05 * error
        share = n**-0.75
        averaged = share * log_scale + (1 - share) * jnp.log(tuning.averaged)
        learnt = Tuning(jnp.exp(log_scale), jnp.exp(averaged), error, n)
        # After burn-in the factor stays: a chain that still adapts has another
        # stationary distribution.
        done = tuning._replace(scale=tuning.averaged)
        return jax.tree.map(lambda a, b: jnp.where(adapt, a, b), learnt, done)

    def position(self, state: Evaluated) -> PyTree:
        """The weights that the last test has left the chain at."""
        return state.position

    def root(self, state: Evaluated) -> Callable[[PyTree], PyTree]:
        """The square root of the preconditioner, the same in every state."""
        del state
        return root_of(self.preconditioner, None)

    def _energy(self, state: Evaluated, local: Local) -> Float[Array, ""]:
        # Of the excess, not the loss: differences between neighbours keep more digits.
        away = squared_norm(local.displacement(state.position))
        return self._t * state.at.excess + 0.5 * self.gamma * away

    def _force(self, state: Evaluated, local: Local) -> PyTree:
        """Gradient of the energy, in the preconditioner's coordinates."""
        away = local.displacement(state.position)
        force = linear_combination((self._t, state.at.gradient), (self.gamma, away))
        return root_of(self.preconditioner, local.mask)(force)

    def _inside(self, w: PyTree, local: Local) -> Bool[Array, ""]:
        if self.box is None:
            return jnp.array(True)
        away = jax.tree.leaves(local.displacement(w))
        # In one type, since leaves may differ in theirs.
        largest = [jnp.abs(x).max().astype(jnp.float32) for x in away]
        return jnp.stack(largest).max() <= self.box

    def _accept(
        self,
        log_ratio: Array,
        old: Evaluated,
        new: Evaluated,
        local: Local,
        key: Key[Array, ""],
    ) -> tuple[Evaluated, Array]:
        # A proposal whose density is not a number is a place that cannot be.
        log_ratio = jnp.where(jnp.isfinite(log_ratio), log_ratio, -jnp.inf)
        log_ratio = jnp.where(self._inside(new.position, local), log_ratio, -jnp.inf)
        probability = jnp.exp(jnp.minimum(log_ratio, 0))
        take = jr.uniform(key, (), probability.dtype) < probability
        state = jax.tree.map(lambda a, b: jnp.where(take, a, b), new, old)
        return state, probability

    def _info(self, state: Evaluated, local: Local, scale: Array) -> Info:
        at = state.at
        return Info(
            at.loss,
            at.excess,
            length(at.gradient, scale * self._t),
            length(local.displacement(state.position), scale * self.gamma),
            jnp.zeros_like(at.loss),
            jnp.ones_like(at.loss),
            jnp.zeros_like(at.loss),
        )
