"""Samplers with an accept step, which have no discretisation bias: the oracles."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import keep, linear_combination, normal_like, squared_norm
from ._local import Evaluation, Local
from ._sampler import AbstractSampler, Info, Number, length


class Tested(NamedTuple):
    """State of a chain with an accept step.

    Args:
        position: The weights.
        at: Loss and gradient there, on all the data.
        tuning: What burn-in has learnt of the step size.
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


class _AbstractMetropolisSampler(AbstractSampler):
    """Full batches only: the test needs the exact density.

    In burn-in the step size is tuned to a mean acceptance, starting from `step_size`.
    """

    target: eqx.AbstractVar[Number | None]

    def __check_init__(self):
        self._check_numbers()
        if isinstance(self.target, int | float) and not 0 < self.target < 1:
            raise ValueError(
                f"{type(self).__name__}: `target` is an acceptance in (0, 1), or None "
                f"to keep `step_size` as it is; got {self.target}."
            )

    @property
    def full_batch(self) -> bool:
        """Always, since the test needs the exact density."""
        return True

    def init(self, position: PyTree, local: Local, *, key: Key[Array, ""]) -> Tested:
        """The position, with loss and gradient there."""
        del key
        one = jnp.ones_like(jnp.asarray(self.step_size))
        return Tested(
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
        # After burn-in the average stands: a step size that goes on moving would make
        # the test wrong.
        done = tuning._replace(scale=tuning.averaged)
        return jax.tree.map(lambda a, b: jnp.where(adapt, a, b), learnt, done)

    def position(self, state: Tested) -> PyTree:
        """The weights."""
        return state.position

    def _energy(self, state: Tested, local: Local) -> Float[Array, ""]:
        # Of the excess, not the loss: differences between neighbours keep more digits.
        away = squared_norm(local.displacement(state.position))
        return self._t * state.at.excess + 0.5 * self.gamma * away

    def _force(self, state: Tested, local: Local) -> PyTree:
        away = local.displacement(state.position)
        return linear_combination((self._t, state.at.gradient), (self.gamma, away))

    def _inside(self, w: PyTree, local: Local) -> Bool[Array, ""]:
        if self.box is None:
            return jnp.array(True)
        away = jax.tree.leaves(local.displacement(w))
        largest = [jnp.abs(x).max().astype(jnp.float32) for x in away]
        return jnp.stack(largest).max() <= self.box

    def _accept(
        self,
        log_ratio: Array,
        old: Tested,
        new: Tested,
        local: Local,
        key: Key[Array, ""],
    ) -> tuple[Tested, Array]:
        # A proposal whose density is not a number is a place that cannot be.
        log_ratio = jnp.where(jnp.isfinite(log_ratio), log_ratio, -jnp.inf)
        log_ratio = jnp.where(self._inside(new.position, local), log_ratio, -jnp.inf)
        probability = jnp.exp(jnp.minimum(log_ratio, 0))
        take = jr.uniform(key, (), probability.dtype) < probability
        state = jax.tree.map(lambda a, b: jnp.where(take, a, b), new, old)
        return state, probability

    def _info(self, state: Tested, local: Local, scale: Array) -> Info:
        at = state.at
        return Info(
            at.loss,
            at.excess,
            length(at.gradient, scale * self._t),
            length(local.displacement(state.position), scale * self.gamma),
            jnp.zeros_like(at.loss),
            jnp.ones_like(at.loss),
        )


class MALA(_AbstractMetropolisSampler):
    """SGLD's proposal with a Metropolis test (Roberts & Tweedie 1996), on full batches.

    Exact at every step size; too large a one rejects, and sticks where it is steep.

    Args:
        step_size: ε, as in SGLD.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation.
        box: Half the side of a box around w*, outside which nothing is accepted.
        target: Mean acceptance that burn-in tunes the step size to; 0.574 is best for
            a smooth posterior in many dimensions (Roberts & Rosenthal 1998), but the
            arms of a singular one are steeper than its middle. None to keep it.

    Raises:
        ValueError: a number is out of range.
    """

    step_size: Number
    n_beta: Number | None = None
    gamma: Number = 1.0
    box: Number | None = None
    target: Number | None = None

    def step(
        self,
        state: Tested,
        local: Local,
        *,
        adapt: Bool[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Tested, Info]:
        """Propose and test; the draw's loss is that after the test."""
        noise_key, accept_key = jr.split(key)
        noise = keep(normal_like(noise_key, state.position), local.mask)
        force = self._force(state, local)
        step_size = self.step_size * state.tuning.scale
        half, kick = -0.5 * step_size, jnp.sqrt(step_size)
        w = linear_combination((1, state.position), (half, force), (kick, noise))
        new = Tested(w, local.evaluate(w), state.tuning)
        log_ratio = mala_log_ratio(
            (state.position, force, self._energy(state, local)),
            (w, self._force(new, local), self._energy(new, local)),
            step_size,
        )
        after, probability = self._accept(log_ratio, state, new, local, accept_key)
        after = after._replace(tuning=self._tune(state.tuning, probability, adapt))
        info = self._info(after, local, half)
        return after, info._replace(
            noise_norm=length(noise, kick), acceptance=probability
        )


def langevin_acceptance(
    w: PyTree, local: Local, sampler: AbstractSampler, *, key: Key[Array, ""]
) -> Float[Array, ""]:
    """The share of Langevin proposals from `w` that a Metropolis test would accept.

    Both ends are evaluated on the same examples, so minibatch noise does not count as
    discretisation error. Below about 0.9 the step size is too large for SGLD, which
    does not test.

    Args:
        w: Where the proposal starts.
        local: The neighbourhood, with the examples of both ends.
        sampler: Whose `step_size`, `n_beta` and `gamma` are tested.
        key: Random key of the proposal.
    """
    t: Any = sampler.n_beta

    def end(w: PyTree) -> tuple[PyTree, PyTree, Array]:
        at, away = local.evaluate(w), local.displacement(w)
        force = linear_combination((t, at.gradient), (sampler.gamma, away))
        square = squared_norm(away)
        energy = t * at.excess.astype(square.dtype)
        return w, force, energy + 0.5 * sampler.gamma * square

    old, noise = end(w), keep(normal_like(key, w), local.mask)
    half, kick = -0.5 * sampler.step_size, jnp.sqrt(sampler.step_size)
    new = linear_combination((1, w), (half, old[1]), (kick, noise))
    return jnp.exp(jnp.minimum(mala_log_ratio(old, end(new), sampler.step_size), 0))


def mala_log_ratio(
    old: tuple[PyTree, PyTree, Array],
    new: tuple[PyTree, PyTree, Array],
    step_size: float | Array,
) -> Float[Array, ""]:
    """Log of π(w') q(w|w') / (π(w) q(w'|w)) for a Langevin proposal from w to w'.

    Args:
        old: Where it starts: position, gradient of the energy, energy.
        new: Where it ends: position, gradient of the energy, energy.
        step_size: ε; the proposal is N(w - ε/2 ∇U, ε).
    """
    (w, force, energy), (w_new, force_new, energy_new) = old, new
    half = 0.5 * step_size
    there = squared_norm(linear_combination((1, w_new), (-1, w), (half, force)))
    back = squared_norm(linear_combination((1, w), (-1, w_new), (half, force_new)))
    return energy - energy_new + (there - back) / (2 * step_size)


class HMC(_AbstractMetropolisSampler):
    """Hamiltonian Monte Carlo (Neal 2011) with a jittered step size, on full batches.

    Args:
        step_size: h, the leapfrog time step, where tuning begins; it is stable for
            h² (n_beta h_max + gamma) < 4.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation.
        box: Half the side of a box around w*, outside which nothing is accepted.
        num_leapfrog: Leapfrog steps, each one gradient, between two tests.
        jitter: Every trajectory has its own step size, uniform in h (1 ± jitter), so
            that none returns to where it began.
        target: Mean acceptance that burn-in tunes the step size to. None to keep it.

    Raises:
        ValueError: a number is out of range.
    """

    step_size: Number
    n_beta: Number | None = None
    gamma: Number = 1.0
    box: Number | None = None
    num_leapfrog: int = eqx.field(static=True, default=20)
    jitter: Number = 0.3
    target: Number | None = 0.8

    def __check_init__(self):
        if self.num_leapfrog < 1:
            raise ValueError(
                f"HMC: `num_leapfrog` must be at least 1; got {self.num_leapfrog}."
            )
        if isinstance(self.jitter, int | float) and not 0 <= self.jitter < 1:
            raise ValueError(f"HMC: `jitter` must be in [0, 1); got {self.jitter}.")

    @property
    def has_momentum(self) -> bool:
        """Always: each trajectory draws one."""
        return True

    @property
    def gradients_per_step(self) -> int:
        """As many as there are leapfrog steps."""
        return self.num_leapfrog

    def step(
        self,
        state: Tested,
        local: Local,
        *,
        adapt: Bool[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Tested, Info]:
        """A trajectory and its test; the draw's loss is that after the test."""
        momentum_key, jitter_key, accept_key = jr.split(key, 3)
        momentum = keep(normal_like(momentum_key, state.position), local.mask)
        wobble = jr.uniform(jitter_key, (), jnp.asarray(self.step_size).dtype, -1, 1)
        h = self.step_size * state.tuning.scale * (1 + self.jitter * wobble)

        def kick(p: PyTree, at: Tested, share: float | Array) -> PyTree:
            force = self._force(at, local)
            return linear_combination((1, p), (-share * h, force))

        def leapfrog(_, carry):
            at, p = carry
            w = linear_combination((1, at.position), (h, p))
            at = Tested(w, local.evaluate(w), state.tuning)
            return at, kick(p, at, 1.0)

        p = kick(momentum, state, 0.5)
        new, p = jax.lax.fori_loop(0, self.num_leapfrog, leapfrog, (state, p))
        # The last kick was a whole one, and its second half belongs to no step.
        p = kick(p, new, -0.5)
        log_ratio = (
            self._energy(state, local)
            - self._energy(new, local)
            + 0.5 * (squared_norm(momentum) - squared_norm(p))
        )
        after, probability = self._accept(log_ratio, state, new, local, accept_key)
        after = after._replace(tuning=self._tune(state.tuning, probability, adapt))
        info = self._info(after, local, h * h)
        return after, info._replace(
            noise_norm=length(momentum, h), acceptance=probability
        )
