"""What every sampler has: an `init` and a `step`."""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import inner
from ._local import Local
from ._preconditioner import AbstractPreconditioner

# A plain float outside the compiled program, an array inside.
Number = float | Array


class Info(NamedTuple):
    """What a step says of itself; a draw reports the means over its steps.

    Args:
        loss: Mean loss of the step's examples at the place that counts as its draw.
        excess: That loss less the mean loss of the same examples at the centre.
        gradient_norm: Length of the move that the data ask for.
        localization_norm: Length of the move that the pull to the centre asks for.
        noise_norm: Length of the random move.
        acceptance: Probability that the step was accepted; 1 without a test.
        heating: What step size and minibatch noise add to n_beta (L(w) - L(w*)), as
            far as this step can tell: over a stationary chain its mean is that of a
            quadratic, in units of the LLC. 0 where a test takes it out; NaN where a
            sampler cannot tell.
    """

    loss: Float[Array, ""]
    excess: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    localization_norm: Float[Array, ""]
    noise_norm: Float[Array, ""]
    acceptance: Float[Array, ""]
    heating: Float[Array, ""]


class AbstractSampler(eqx.Module):
    """A Markov chain on the local posterior exp(-n_beta L(w) - gamma/2 |w - w*|²).

    A subclass has `init`, `step` and `position`. The state of a chain is any pytree,
    and `position` reads the weights from it. Fields that are not static are numbers, or
    a preconditioner: numbers are plain floats that the estimator hands to the compiled
    program as arrays, so that one compilation serves every value and a grid of them. A
    subclass calls `self._check_numbers()` in `__check_init__`.

    Attributes:
        step_size: ε of SGLD, in squared units of the weights, or a time step h, whose
            square that is, where `has_momentum` is True.
        n_beta: Inverse temperature times number of examples; None for n / ln n.
        gamma: Strength of the localisation; 0 for none.
        box: Half the side of a box around w* that the chain stays in; None for no box.
    """

    step_size: eqx.AbstractVar[Number]
    n_beta: eqx.AbstractVar[Number | None]
    gamma: eqx.AbstractVar[Number]
    box: eqx.AbstractVar[Number | None]

    @property
    def _t(self) -> Any:
        """`n_beta`, which the estimator has resolved by the time of a step."""
        return self.n_beta

    @property
    def full_batch(self) -> bool:
        """Whether a step needs all the data, because it tests what it proposes."""
        return False

    @property
    def needs_burnin(self) -> bool:
        """Whether the chain is right only after something was learnt in burn-in."""
        return False

    @property
    def has_momentum(self) -> bool:
        """Whether `step_size` is a time step, whose square is that of SGLD."""
        return False

    @property
    def is_preconditioned(self) -> bool:
        """Whether `root` is anything but the identity."""
        return False

    @property
    def gradients_per_step(self) -> int:
        """Evaluations of the gradient that a step makes."""
        return 1

    @abc.abstractmethod
    def init(self, position: PyTree, local: Local, *, key: Key[Array, ""]) -> Any:
        """The state of a chain that begins at `position`.

        Args:
            position: Weights w*, as a pytree of floating arrays.
            local: The neighbourhood, with a step's examples.
            key: Key of what is random in a state, such as a momentum.
        """

    @abc.abstractmethod
    def step(
        self,
        state: Any,
        local: Local,
        *,
        adapt: Bool[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Any, Info]:
        """One move of the chain.

        Args:
            state: State of the chain.
            local: The neighbourhood, with this step's examples.
            adapt: Whether this is burn-in, when a sampler may still tune itself.
            key: Key of the step.

        Returns:
            The state after the move, and what the step says of itself.
        """

    @abc.abstractmethod
    def position(self, state: Any) -> PyTree:
        """The weights in a state."""

    def metric(self, state: Any) -> PyTree | None:
        """Diagonal of the preconditioner in a state; None where there is none."""
        del state

    def root(self, state: Any) -> Callable[[PyTree], PyTree]:
        """The square root of the preconditioner in a state, as a map of vectors.

        Args:
            state: State of a chain.
        """
        metric = self.metric(state)
        if metric is None:
            return lambda vector: vector
        roots = jax.tree.map(jnp.sqrt, metric)
        return lambda vector: jax.tree.map(jnp.multiply, roots, vector)

    def retained(
        self, stiffness: Float[np.ndarray, " direction"]
    ) -> Float[np.ndarray, " direction"]:
        """How much of a direction's missing variance a step leaves, on a quadratic.

        A chain that begins at w* has after n steps the variance 1 - r**n of what it is
        to have. For Langevin steps of size ε in a direction of stiffness s that is
        r = (1 - ε s / 2)², exactly. In [0, 1) where the sampler is stable.

        Args:
            stiffness: n_beta h_i + gamma, in the metric of the sampler.
        """
        return (1 - np.asarray(self.step_size) * stiffness / 2) ** 2

    def numbers(self) -> dict[str, float]:
        """The fields that are numbers, by name: what a grid may vary."""
        free = [
            f.name for f in dataclasses.fields(self) if not f.metadata.get("static")
        ]
        named = {name: getattr(self, name) for name in free}
        return {
            name: float(value)
            for name, value in named.items()
            if not (value is None or isinstance(value, AbstractPreconditioner))
        }

    def without_numbers(self) -> "AbstractSampler":
        """The same sampler with a placeholder for every number.

        A compiled program that takes this one and the numbers as arrays serves all.
        """
        # In range for each of them.
        return self.with_numbers(**dict.fromkeys(self.numbers(), 0.5))

    def with_numbers(self, **numbers: Any) -> "AbstractSampler":
        """The same sampler with some of its numbers replaced."""
        return dataclasses.replace(self, **numbers)

    def _check_numbers(self) -> None:
        who = type(self).__name__
        # Inside the compiled program numbers are arrays, and have been checked before.
        for name in ("step_size", "n_beta", "box"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not value > 0:
                raise ValueError(f"{who}: `{name}` must be positive; got {value}.")
        if isinstance(self.gamma, int | float) and not self.gamma >= 0:
            raise ValueError(
                f"{who}: `gamma` must be at least 0, which is no localisation; got "
                f"{self.gamma}."
            )


class SamplerSpec(NamedTuple):
    """A row of the sampler catalogue.

    Args:
        name: What a study calls the sampler.
        summary: One line for `jaxcirc list`.
        build: Keyword options -> sampler.
        tried: Options with which it samples a quadratic of curvatures between 0.001 and
            1 at `n_beta` 100 within 3% of the exact value; the contract tests run it.
    """

    name: str
    summary: str
    build: Callable[..., AbstractSampler]
    tried: Mapping[str, Any]


def length(vector: PyTree, scale: float | Array = 1.0) -> Float[Array, ""]:
    """|scale| times the Euclidean norm of a pytree.

    Args:
        vector: A pytree of arrays.
        scale: Factor on the norm; its sign does not matter.
    """
    norm = jnp.sqrt(inner(vector, vector))
    return jnp.abs(jnp.asarray(scale).astype(norm.dtype)) * norm
