"""Stochastic gradient Langevin dynamics."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, PyTree

from .._core import keep, linear_combination, normal_like
from ._local import Local
from ._sampler import AbstractSampler, Info, Number, length


class SGLD(AbstractSampler):
    """w ← w - ε/2 (n_beta ∇L(w) + gamma (w - w*)) + √ε η (Welling & Teh 2011).

    On a quadratic with curvature h it is stable for ε (n_beta h + gamma) < 4 and then
    inflates the variance by 1 / (1 - ε (n_beta h + gamma) / 4);
    `jaxcirc.llc.truth.quadratic` gives what it converges to, minibatch noise included.

    Args:
        step_size: ε.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation.
        box: Half the side of a box around w*, at whose walls the chain is reflected.

    Raises:
        ValueError: `step_size`, `n_beta` or `box` is not positive, or `gamma` negative.

    Example:
        >>> sampler = SGLD(1e-4, n_beta=100.0)
        >>> sampler.numbers()  # what a grid may vary
        {'step_size': 0.0001, 'n_beta': 100.0, 'gamma': 1.0}
        >>> sampler.with_numbers(gamma=5.0).gamma
        5.0
    """

    step_size: Number
    n_beta: Number | None = None
    gamma: Number = 1.0
    box: Number | None = None

    def __check_init__(self):
        self._check_numbers()

    def init(self, position: PyTree, local: Local, *, key: Key[Array, ""]) -> PyTree:
        """The position itself, since the chain remembers nothing else."""
        del local, key
        return position

    def position(self, state: PyTree) -> PyTree:
        """The state itself."""
        return state

    def step(
        self,
        state: PyTree,
        local: Local,
        *,
        adapt: Bool[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[PyTree, Info]:
        """One Langevin step; its loss is that at the place it starts from."""
        del adapt
        at, away = local.evaluate(state), local.displacement(state)
        # Masked like the gradient, or held weights would walk at random.
        noise = keep(normal_like(key, state), local.mask)
        pull, drag = -0.5 * self.step_size * self._t, -0.5 * self.step_size
        drag, kick = drag * self.gamma, jnp.sqrt(self.step_size)
        w = linear_combination(
            (1, state), (pull, at.gradient), (drag, away), (kick, noise)
        )
        info = Info(
            at.loss,
            at.excess,
            length(at.gradient, pull),
            length(away, drag),
            length(noise, kick),
            jnp.ones_like(at.loss),
        )
        return local.reflect(w, self.box), info
