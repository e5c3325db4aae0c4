"""SGLD with the preconditioner of RMSprop."""

import equinox as eqx
import jax
from jaxtyping import PyTree

from ._preconditioned import (
    AbstractPreconditionedSGLD,
    Moments,
    average,
    inverse_root,
)
from ._sampler import Number, SamplerSpec


class RMSpropSGLD(AbstractPreconditionedSGLD):
    """SGLD preconditioned by G = 1 / (√v + a), v ← αv + (1 - α) g² (Li et al. 2016).

    The gradient in `v` is that of the loss, without `n_beta`. Frozen after burn-in, G
    is a constant and the chain has the stationary distribution of SGLD with these step
    sizes; adapting forever, it lacks the correction term Γ and is biased even on an
    isotropic quadratic. The localisation is preconditioned as well.

    Args:
        step_size: ε, the step size where G is 1.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation.
        box: Half the side of a box around w*, at whose walls the chain is reflected.
        decay: α, the share of `v` that a step keeps.
        floor: a, in units of the gradient.
        frozen: Whether G stays as it is at the end of burn-in.

    Raises:
        ValueError: a number is out of range.
    """

    step_size: Number
    n_beta: Number | None = None
    gamma: Number = 1.0
    box: Number | None = None
    decay: Number = 0.99
    floor: Number = 0.1
    frozen: bool = eqx.field(static=True, default=True)

    def learn(self, state: Moments, gradient: PyTree) -> Moments:
        """The state whose running mean square has taken in one more gradient.

        Args:
            state: State of the chain.
            gradient: Gradient of the step's mean loss, without `n_beta`.
        """
        return state._replace(
            second=average(state.second, gradient, self.decay, square=True),
            updates=state.updates + 1,
        )

    def preconditioner(self, state: Moments) -> PyTree:
        """G = 1 / (√v + a), coordinate by coordinate."""
        return jax.tree.map(lambda v: inverse_root(v, self.floor), state.second)


SPEC = SamplerSpec(
    "rmsprop_sgld",
    "SGLD with RMSprop's preconditioner",
    RMSpropSGLD,
    {"step_size": 2e-4},
)
