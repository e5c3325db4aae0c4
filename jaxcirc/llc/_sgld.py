"""Stochastic gradient Langevin dynamics."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import inner, keep, linear_combination, normal_like
from ._local import Local
from ._preconditioner import AbstractPreconditioner, root_of
from ._sampler import AbstractSampler, Info, Number, SamplerSpec, length


def langevin_heating(
    pull: PyTree, drift: PyTree, step_size: Number
) -> Float[Array, ""]:
    """What a Langevin chain that tests nothing adds to its LLC, told by one step.

    A stationary chain w' = w + Δ + √ε η with drift Δ = -ε/2 F keeps E|w - w*|², hence
    E[(w - w*)·F] = d + E|Δ|²/ε exactly, where sampling the posterior itself would give
    d. The excess is shared by the data and the localisation, and what the loss has too
    much is half of the data's share. On a quadratic that is

        E⟨pull, Δ⟩ / 2ε

    exactly where it comes from the step size, and at most that where it comes from the
    noise of minibatches, all of which is counted for the data.

    Args:
        pull: The part of the drift that the data ask for, -ε/2 n_beta g, in coordinates
            where the noise is that of the step size.
        drift: Δ, in the same coordinates: the pull, and that to the centre.
        step_size: ε.
    """
    shared = inner(pull, drift)
    return 0.5 * shared / jnp.asarray(step_size).astype(shared.dtype)


class SGLD(AbstractSampler):
    """w ← w - ε/2 (n_beta ∇L(w) + gamma (w - w*)) + √ε η (Welling & Teh 2011).

    On a quadratic with curvature h it is stable for ε (n_beta h + gamma) < 4 and then
    inflates the variance by 1 / (1 - ε (n_beta h + gamma) / 4);
    `jaxcirc.llc.truth.quadratic` gives what it converges to, minibatch noise included.
    λ̂ is too large by as much: an estimate that falls with the step size was taken at
    one that is too large. `jaxcirc.llc.calibrate` chooses it.

    Args:
        step_size: ε.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation.
        box: Half the side of a box around w*, at whose walls the chain is reflected.
        preconditioner: G of w ← w - ε/2 G (...) + √(ε G) η, a constant map; None for 1.
            The bounds above are then those of the stiffness √G (n_beta h + gamma) √G.

    Raises:
        ValueError: `step_size`, `n_beta` or `box` is not positive, or `gamma` negative.

    Example:
        >>> SGLD(1e-4, n_beta=100.0).numbers()
        {'step_size': 0.0001, 'n_beta': 100.0, 'gamma': 1.0}
    """

    step_size: Number
    n_beta: Number | None = None
    gamma: Number = 1.0
    box: Number | None = None
    preconditioner: AbstractPreconditioner | None = None

    def __check_init__(self):
        self._check_numbers()

    @property
    def is_preconditioned(self) -> bool:
        """Whether there is a `preconditioner`."""
        return self.preconditioner is not None

    def init(self, position: PyTree, local: Local, *, key: Key[Array, ""]) -> PyTree:
        """The position itself, since this sampler remembers nothing else.

        Args:
            position: Weights w*.
            local: Not used, since no gradient is taken yet.
            key: Not used, since nothing is random.
        """
        del local, key
        return position

    def position(self, state: PyTree) -> PyTree:
        """The state itself, which is the weights."""
        return state

    def root(self, state: PyTree) -> Callable[[PyTree], PyTree]:
        """The square root of the preconditioner, the same in every state."""
        del state
        return root_of(self.preconditioner, None)

    def step(
        self,
        state: PyTree,
        local: Local,
        *,
        adapt: Bool[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[PyTree, Info]:
        """One Langevin step; its loss is that at the place it starts from.

        Args:
            state: The weights.
            local: The neighbourhood, with this step's examples.
            adapt: Not used, since this sampler tunes nothing.
            key: Key of the noise.
        """
        del adapt
        at, root = local.evaluate(state), root_of(self.preconditioner, local.mask)
        # In coordinates where the noise is the same in each.
        gradient, away = root(at.gradient), root(local.displacement(state))
        noise = root(keep(normal_like(key, state), local.mask))
        pull, drag = -0.5 * self.step_size * self._t, -0.5 * self.step_size
        drag, kick = drag * self.gamma, jnp.sqrt(self.step_size)
        forward, back = root(gradient), root(away)
        w = linear_combination((1, state), (pull, forward), (drag, back), (kick, noise))
        # Another evaluation where the step ends would double its cost.
        info = Info(
            at.loss,
            at.excess,
            length(forward, pull),
            length(back, drag),
            length(noise, kick),
            jnp.ones_like(at.loss),
            langevin_heating(
                linear_combination((pull, gradient)),
                linear_combination((pull, gradient), (drag, away)),
                self.step_size,
            ),
        )
        return local.reflect(w, self.box), info


SPEC = SamplerSpec("sgld", "Langevin steps on minibatches", SGLD, {"step_size": 2e-3})
