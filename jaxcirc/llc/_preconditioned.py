"""Preconditioned SGLD: a step size of its own for every coordinate."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from .._core import keep, linear_combination, normal_like
from ._local import Local
from ._sampler import AbstractSampler, Info, Number, length


class Moments(NamedTuple):
    """State of a preconditioned chain: weights and averages of the gradient.

    Args:
        position: The weights.
        first: Running mean of the gradient.
        second: Running mean of its square.
        updates: How often they have been updated.
    """

    position: PyTree
    first: PyTree
    second: PyTree
    updates: Int[Array, ""]


class _AbstractPreconditionedSGLD(AbstractSampler):
    """w ← w - ε/2 G (n_beta g + gamma (w - w*)) + √(ε G) η, with a diagonal G."""

    frozen: eqx.AbstractVar[bool]

    def __check_init__(self):
        self._check_numbers()

    @property
    def needs_burnin(self) -> bool:
        """A frozen preconditioner is learnt in burn-in."""
        return self.frozen

    def init(self, position: PyTree, local: Local, *, key: Key[Array, ""]) -> Moments:
        """Averages begin at 0 and 1, so that the first steps are ordinary ones."""
        del local, key
        zeros = jax.tree.map(jnp.zeros_like, position)
        ones = jax.tree.map(jnp.ones_like, position)
        return Moments(position, zeros, ones, jnp.int32(0))

    def position(self, state: Moments) -> PyTree:
        """The weights in a state."""
        return state.position

    def metric(self, state: Moments) -> PyTree:
        """The diagonal of the preconditioner in a state."""
        return self.preconditioner(state)

    def learn(self, state: Moments, gradient: PyTree) -> Moments:
        """The averages with one more gradient."""
        raise NotImplementedError

    def preconditioner(self, state: Moments) -> PyTree:
        """The diagonal of G."""
        raise NotImplementedError

    def drift(self, state: Moments, gradient: PyTree) -> PyTree:
        """The gradient to follow."""
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
        """One step; its loss is that at the place it starts from."""
        at, away = local.evaluate(state.position), local.displacement(state.position)
        learnt = self.learn(state, at.gradient)
        if self.frozen:
            # Chosen leaf by leaf: a conditional would copy both states under vmap.
            learnt = jax.tree.map(lambda a, b: jnp.where(adapt, a, b), learnt, state)
        G = self.preconditioner(learnt)
        noise = keep(normal_like(key, state.position), local.mask)
        # G is constant along the step: both forces and the noise feel the same one.
        forward = jax.tree.map(jnp.multiply, G, self.drift(learnt, at.gradient))
        back = jax.tree.map(jnp.multiply, G, away)
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
        )
        return learnt._replace(position=local.reflect(w, self.box)), info


class RMSpropSGLD(_AbstractPreconditionedSGLD):
    """SGLD preconditioned by G = 1 / (√v + a), v ← αv + (1 - α) g² (Li et al. 2016).

    The gradient in `v` is that of the loss, without `n_beta`. Frozen after burn-in, G
    is a constant and the chain has the stationary distribution of SGLD with these step
    sizes; adapting forever, it lacks the correction term Γ and is biased even on an
    isotropic quadratic.

    Args:
        step_size: ε, the step size where G is 1.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation.
        box: Half the side of a box around w*, at whose walls the chain is reflected.
        decay: α.
        floor: a, in units of the gradient.
        frozen: Keep G as it is at the end of burn-in.

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
        """The running mean with one more squared gradient in it."""
        return state._replace(
            second=_average(state.second, gradient, self.decay, square=True),
            updates=state.updates + 1,
        )

    def preconditioner(self, state: Moments) -> PyTree:
        """The diagonal 1 / (√v + a)."""
        return jax.tree.map(lambda v: _inverse_root(v, self.floor), state.second)


class AdamSGLD(_AbstractPreconditionedSGLD):
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
        """Both running means with one more gradient in them."""
        return state._replace(
            first=_average(state.first, gradient, self.b1),
            second=_average(state.second, gradient, self.b2, square=True),
            updates=state.updates + 1,
        )

    def preconditioner(self, state: Moments) -> PyTree:
        """The diagonal 1 / (√v̂ + a), with the bias-corrected mean v̂."""
        seen = state.updates.astype(jnp.float32)
        share = jnp.asarray(self.b2, jnp.float32) ** seen

        def leaf(v: Array) -> Array:
            return _inverse_root(v / (1 - share.astype(v.dtype)), self.floor)

        return jax.tree.map(leaf, state.second)

    def drift(self, state: Moments, gradient: PyTree) -> PyTree:
        """The first moment while adapting, else the gradient."""
        if self.frozen:
            # A drift with memory would have another stationary distribution.
            return gradient
        seen = state.updates.astype(jnp.float32)
        share = jnp.asarray(self.b1, jnp.float32) ** seen
        return jax.tree.map(lambda m: m / (1 - share.astype(m.dtype)), state.first)


def _average(
    old: PyTree, new: PyTree, decay: float | Array, *, square: bool = False
) -> PyTree:
    def leaf(m: Float[Array, "..."], g: Float[Array, "..."]) -> Float[Array, "..."]:
        d = jnp.asarray(decay).astype(m.dtype)
        return d * m + (1 - d) * (g * g if square else g)

    return jax.tree.map(leaf, old, new)


def _inverse_root(v: Array, floor: float | Array) -> Array:
    return 1 / (jnp.sqrt(v) + jnp.asarray(floor).astype(v.dtype))
