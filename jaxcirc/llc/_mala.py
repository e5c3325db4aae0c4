"""The Metropolis-adjusted Langevin algorithm, and its test by itself."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import keep, linear_combination, normal_like, squared_norm
from ._local import Local
from ._metropolis import AbstractMetropolisSampler, Evaluated
from ._sampler import AbstractSampler, Info, Number, SamplerSpec, length


class MALA(AbstractMetropolisSampler):
    """SGLD's proposal with a Metropolis test (Roberts & Tweedie 1996), on full batches.

    Its stationary distribution is the local posterior at every step size: there is no
    discretisation bias. Too large a step size has its proposals rejected, and the chain
    sticks where the loss is steep. Each step takes one gradient of all the data.

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
        state: Evaluated,
        local: Local,
        *,
        adapt: Bool[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Evaluated, Info]:
        """Propose and test; the draw's loss is that after the test.

        Args:
            state: State of the chain.
            local: The neighbourhood, with all examples.
            adapt: Whether this is burn-in, when the step size is tuned.
            key: Key of the proposal and the test.
        """
        noise_key, accept_key = jr.split(key)
        noise = keep(normal_like(noise_key, state.position), local.mask)
        force = self._force(state, local)
        step_size = self.step_size * state.tuning.scale
        half, kick = -0.5 * step_size, jnp.sqrt(step_size)
        w = linear_combination((1, state.position), (half, force), (kick, noise))
        # The gradient at the start is known from the last step, so a step takes one.
        new = Evaluated(w, local.evaluate(w), state.tuning)
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
        local: The neighbourhood, with a step's examples.
        sampler: The sampler whose step size, n_beta and gamma are asked about.
        key: Key of the proposal.
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
        old: Position, gradient of the energy, and energy where the proposal starts.
        new: Position, gradient of the energy, and energy where it ends.
        step_size: ε; the proposal is N(w - ε/2 ∇U, ε).
    """
    (w, force, energy), (w_new, force_new, energy_new) = old, new
    half = 0.5 * step_size
    there = squared_norm(linear_combination((1, w_new), (-1, w), (half, force)))
    back = squared_norm(linear_combination((1, w), (-1, w_new), (half, force_new)))
    return energy - energy_new + (there - back) / (2 * step_size)


SPEC = SamplerSpec(
    "mala", "SGLD with a Metropolis test, on all data", MALA, {"step_size": 1e-2}
)
