"""Hamiltonian Monte Carlo."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import keep, linear_combination, normal_like, squared_norm
from ._local import Local
from ._metropolis import AbstractMetropolisSampler, Evaluated
from ._preconditioner import AbstractPreconditioner, root_of
from ._sampler import Info, Number, SamplerSpec, length


class HMC(AbstractMetropolisSampler):
    """Hamiltonian Monte Carlo (Neal 2011) with a jittered step size, on full batches.

    Each step draws a momentum, follows it for `num_leapfrog` leapfrog steps and tests
    where they end, so there is no discretisation bias. A trajectory crosses the
    neighbourhood where Langevin samplers diffuse through it.

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
        preconditioner: G, the inverse of the masses: a constant map; None for 1.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> HMC(step_size=0.1, num_leapfrog=20).gradients_per_step
        20
    """

    step_size: Number
    n_beta: Number | None = None
    gamma: Number = 1.0
    box: Number | None = None
    num_leapfrog: int = eqx.field(static=True, default=20)
    jitter: Number = 0.3
    target: Number | None = 0.8
    preconditioner: AbstractPreconditioner | None = None

    def __check_init__(self):
        if self.num_leapfrog < 1:
            raise ValueError(
                f"HMC: `num_leapfrog` must be at least 1; got {self.num_leapfrog}."
            )
        if isinstance(self.jitter, int | float) and not 0 <= self.jitter < 1:
            raise ValueError(f"HMC: `jitter` must be in [0, 1); got {self.jitter}.")

    @property
    def has_momentum(self) -> bool:
        """Whether `step_size` is a time step: it is the leapfrog's."""
        return True

    @property
    def gradients_per_step(self) -> int:
        """Evaluations of the gradient, one for each leapfrog step."""
        return self.num_leapfrog

    def retained(
        self, stiffness: Float[np.ndarray, " direction"]
    ) -> Float[np.ndarray, " direction"]:
        """How much of a direction's missing variance a trajectory leaves.

        On a quadratic it turns a direction of frequency √s by θ = √s h num_leapfrog and
        leaves cos² θ, here in the mean over the jitter of h.

        Args:
            stiffness: n_beta h_i + gamma, in the metric of the sampler.
        """
        angle = np.sqrt(stiffness) * np.asarray(self.step_size) * self.num_leapfrog
        # NumPy's sinc has a π of its own.
        spread = np.sinc(2 * angle * np.asarray(self.jitter) / np.pi)
        return 0.5 * (1 + np.cos(2 * angle) * spread)

    def step(
        self,
        state: Evaluated,
        local: Local,
        *,
        adapt: Bool[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Evaluated, Info]:
        """A trajectory and its test; the draw's loss is that after the test.

        Args:
            state: State of the chain.
            local: The neighbourhood, with all examples.
            adapt: Whether this is burn-in, when the step size is tuned.
            key: Key of momentum, jitter and test.
        """
        momentum_key, jitter_key, accept_key = jr.split(key, 3)
        # Of the coordinates in which all masses are 1.
        momentum = keep(normal_like(momentum_key, state.position), local.mask)
        root = root_of(self.preconditioner, local.mask)
        # A trajectory of a fixed length may return to where it began, again and again.
        wobble = jr.uniform(jitter_key, (), jnp.asarray(self.step_size).dtype, -1, 1)
        h = self.step_size * state.tuning.scale * (1 + self.jitter * wobble)

        def kick(p: PyTree, at: Evaluated, share: float | Array) -> PyTree:
            force = self._force(at, local)
            return linear_combination((1, p), (-share * h, force))

        def leapfrog(_, carry):
            at, p = carry
            w = linear_combination((1, at.position), (h, root(p)))
            at = Evaluated(w, local.evaluate(w), state.tuning)
            return at, kick(p, at, 1.0)

        p = kick(momentum, state, 0.5)
        new, p = jax.lax.fori_loop(0, self.num_leapfrog, leapfrog, (state, p))
        # The last kick was a whole one.
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
            noise_norm=length(root(momentum), h), acceptance=probability
        )


SPEC = SamplerSpec(
    "hmc",
    "Hamiltonian Monte Carlo, on all data",
    HMC,
    {"step_size": 0.05, "num_leapfrog": 8},
)
