"""SGLD with the preconditioner of Adam."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ._preconditioned import (
    AbstractPreconditionedSGLD,
    Moments,
    average,
    inverse_root,
)
from ._sampler import Number, SamplerSpec


class AdamSGLD(AbstractPreconditionedSGLD):
    """SGLD preconditioned as in Adam: bias-corrected second moments.

    While it adapts, the drift follows the bias-corrected first moment as Adam does
    (Hitchcock & Hoogland 2025); frozen, it follows the gradient itself, since a drift
    with memory has another stationary distribution. The second moment begins at 1, so
    the first steps are careful however small the gradient at w* is.

    Args:
        step_size: ε, the step size where G is 1.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation.
        box: Half the side of a box around w*, at whose walls the chain is reflected.
        b1: Decay of the first moment.
        b2: Decay of the second moment.
        floor: Added to the root of the second moment, in units of the gradient. Adam's
            own 1e-8 would give a direction without gradient a step size 1e8 times that
            of the others, which the localisation cannot hold.
        frozen: Keep G as it is at the end of burn-in.

    Raises:
        ValueError: a number is out of range.
    """

    step_size: Number
    n_beta: Number | None = None
    gamma: Number = 1.0
    box: Number | None = None
    b1: Number = 0.9
    b2: Number = 0.999
    floor: Number = 0.01
    frozen: bool = eqx.field(static=True, default=True)

    def learn(self, state: Moments, gradient: PyTree) -> Moments:
        """The state whose two running means have taken in one more gradient.

        Args:
            state: State of the chain.
            gradient: Gradient of the step's mean loss, without `n_beta`.
        """
        return state._replace(
            first=average(state.first, gradient, self.b1),
            second=average(state.second, gradient, self.b2, square=True),
            updates=state.updates + 1,
        )

    def preconditioner(self, state: Moments) -> PyTree:
        """G = 1 / (√v̂ + a), with v̂ the bias-corrected second moment."""
        seen = state.updates.astype(jnp.float32)
        # The moment begins at 1 and not at 0, so early steps are the smaller for it.
        share = jnp.asarray(self.b2, jnp.float32) ** seen

        def leaf(v: Array) -> Array:
            return inverse_root(v / (1 - share.astype(v.dtype)), self.floor)

        return jax.tree.map(leaf, state.second)

    def drift(self, state: Moments, gradient: PyTree) -> PyTree:
        """The bias-corrected first moment while G adapts for ever, else the gradient.

        Args:
            state: State of the chain, after it has learnt from `gradient`.
            gradient: Gradient of the step's mean loss.
        """
        if self.frozen:
            return gradient
        seen = state.updates.astype(jnp.float32)
        share = jnp.asarray(self.b1, jnp.float32) ** seen
        return jax.tree.map(lambda m: m / (1 - share.astype(m.dtype)), state.first)


SPEC = SamplerSpec(
    "adam_sgld", "SGLD with Adam's preconditioner", AdamSGLD, {"step_size": 2e-5}
)
