"""The Metropolis-adjusted Langevin algorithm, and its test by itself."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import keep, linear_combination, normal_like, squared_norm
from ._local import Local
from ._metropolis import AbstractMetropolisSampler, Evaluated
from ._preconditioner import AbstractPreconditioner, root_of
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
        preconditioner: G of the proposal, as in SGLD: a constant map; None for 1.

    Raises:
        ValueError: a number is out of range.
    """

    step_size: Number
    n_beta: Number | None = None
    gamma: Number = 1.0
    box: Number | None = None
    target: Number | None = None
    preconditioner: AbstractPreconditioner | None = None

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
        root = root_of(self.preconditioner, local.mask)
        force = self._force(state, local)
        step_size = self.step_size * state.tuning.scale
        half, kick = -0.5 * step_size, jnp.sqrt(step_size)
        w, move = _proposal(
            state.position,
            force,
            noise,
            step_size,
            root if self.is_preconditioned else None,
        )
        # The gradient at the start is known from the last step, so a step takes one.
        new = Evaluated(w, local.evaluate(w), state.tuning)
        log_ratio = mala_log_ratio(
            (force, self._energy(state, local)),
            (self._force(new, local), self._energy(new, local)),
            move,
            step_size,
        )
        after, probability = self._accept(log_ratio, state, new, local, accept_key)
        after = after._replace(tuning=self._tune(state.tuning, probability, adapt))
        info = self._info(after, local, half)
        return after, info._replace(
            noise_norm=length(root(noise), kick), acceptance=probability
        )


def langevin_acceptance(
    state: Any, local: Local, sampler: AbstractSampler, *, key: Key[Array, ""]
) -> Float[Array, ""]:
    """The share of Langevin proposals from a state that a Metropolis test would accept.

    Both ends are evaluated on the same examples, so minibatch noise does not count as
    discretisation error. Below about 0.9 the step size is too large for SGLD, which
    does not test. The proposal has the sampler's preconditioner, as it is now, and for
    a sampler with momentum the square of its time step.

    Args:
        state: State of the chain; the proposal starts from its position.
        local: The neighbourhood, with a step's examples.
        sampler: The sampler whose step size, n_beta and gamma are asked about.
        key: Key of the proposal.
    """
    t: Any = sampler.n_beta
    w, whole = sampler.position(state), sampler.root(state)
    step_size = sampler.step_size**2 if sampler.has_momentum else sampler.step_size

    def root(vector: PyTree) -> PyTree:
        return keep(whole(keep(vector, local.mask)), local.mask)

    def end(w: PyTree) -> tuple[PyTree, Array]:
        at, away = local.evaluate(w), local.displacement(w)
        force = linear_combination((t, at.gradient), (sampler.gamma, away))
        square = squared_norm(away)
        energy = t * at.excess.astype(square.dtype)
        return root(force), energy + 0.5 * sampler.gamma * square

    old, noise = end(w), keep(normal_like(key, w), local.mask)
    through = root if sampler.is_preconditioned else None
    new, move = _proposal(w, old[0], noise, step_size, through)
    return jnp.exp(jnp.minimum(mala_log_ratio(old, end(new), move, step_size), 0))


def _proposal(
    w: PyTree,
    force: PyTree,
    noise: PyTree,
    step_size: Number,
    root: Callable[[PyTree], PyTree] | None,
) -> tuple[PyTree, PyTree]:
    """Where a Langevin proposal ends, and its move in the coordinates of a root."""
    terms = (-0.5 * step_size, force), (jnp.sqrt(step_size), noise)
    if root is None:
        new = linear_combination((1, w), *terms)
        # As it was rounded: the test is about where the chain would be.
        return new, linear_combination((1, new), (-1, w))
    move = linear_combination(*terms)
    return linear_combination((1, w), (1, root(move))), move


def mala_log_ratio(
    old: tuple[PyTree, Array],
    new: tuple[PyTree, Array],
    move: PyTree,
    step_size: float | Array,
) -> Float[Array, ""]:
    """Log of π(w') q(w|w') / (π(w) q(w'|w)) for a Langevin proposal from w to w'.

    In the coordinates u of a preconditioner, w = R u, it is that of an ordinary one, so
    no inverse of R is needed.

    Args:
        old: Gradient of the energy, R ∇U, and energy where the proposal starts.
        new: The same where it ends.
        move: u' - u.
        step_size: ε; the proposal is N(u - ε/2 R ∇U, ε).
    """
    (force, energy), (force_new, energy_new) = old, new
    half = 0.5 * step_size
    there = squared_norm(linear_combination((1, move), (half, force)))
    back = squared_norm(linear_combination((-1, move), (half, force_new)))
    return energy - energy_new + (there - back) / (2 * step_size)


SPEC = SamplerSpec(
    "mala", "SGLD with a Metropolis test, on all data", MALA, {"step_size": 1e-2}
)
