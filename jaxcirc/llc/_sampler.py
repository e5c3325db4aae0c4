"""What a sampler is: an `init` and a `step`."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from .._core import inner
from ._local import Local

# A plain float outside the compiled program, an array inside.
Number = float | Array


class Info(NamedTuple):
    """What a step says of itself; a draw reports the means over its steps.

    Args:
        loss: Mean loss of the step's examples at the place that counts as its draw.
        excess: The same less that of the same examples at the centre.
        gradient_norm: Length of the move that the data ask for.
        localization_norm: Length of the move that the pull to the centre asks for.
        noise_norm: Length of the random move.
        acceptance: Probability that the step was accepted; 1 without a test.
    """

    loss: Float[Array, ""]
    excess: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    localization_norm: Float[Array, ""]
    noise_norm: Float[Array, ""]
    acceptance: Float[Array, ""]


class AbstractSampler(eqx.Module):
    """A Markov chain on the local posterior exp(-n_beta L(w) - gamma/2 |w - w*|²).

    Its numbers are plain floats; the estimator hands them to the compiled program as
    arrays, so that one compilation serves every value and a grid of them.

    The state of a chain is any pytree; `position` reads the weights from it.

    Attributes:
        step_size: Length of a step, in units that the sampler says.
        n_beta: Inverse temperature times number of examples; n / ln n if None.
        gamma: Strength of the localisation, at least 0.
        box: Half the side of a box around w* that the chain stays in; None for none.
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
    def gradients_per_step(self) -> int:
        """Evaluations of the gradient that a step makes."""
        return 1

    def init(self, position: PyTree, local: Local, *, key: Key[Array, ""]) -> Any:
        """The state of a chain that begins at `position`.

        Args:
            position: The weights, floating arrays alone.
            local: The neighbourhood, with some examples.
            key: Random key of what the state draws, such as a momentum.
        """
        raise NotImplementedError

    def step(
        self,
        state: Any,
        local: Local,
        *,
        adapt: Bool[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Any, Info]:
        """The state after one move, and what the move says of itself.

        Args:
            state: State of the chain.
            local: The neighbourhood, with this step's examples.
            adapt: Whether this is burn-in, when a sampler may still tune itself.
            key: Random key of this step.
        """
        raise NotImplementedError

    def position(self, state: Any) -> PyTree:
        """The weights in a state."""
        raise NotImplementedError

    def metric(self, state: Any) -> PyTree | None:
        """Diagonal of the preconditioner in a state; None where there is none."""
        del state

    def numbers(self) -> dict[str, float]:
        """The fields that are numbers, by name: what a grid may vary."""
        free = [
            f.name for f in dataclasses.fields(self) if not f.metadata.get("static")
        ]
        named = {name: getattr(self, name) for name in free}
        return {k: float(v) for k, v in named.items() if v is not None}

    def without_numbers(self) -> "AbstractSampler":
        """The same sampler with a placeholder for every number.

        A compiled program that takes this one and the numbers as arrays serves all.
        """
        # The placeholder passes every check of a number.
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
        name: What a study calls it.
        summary: One line.
        build: Keyword options -> sampler.
    """

    name: str
    summary: str
    build: Callable[..., AbstractSampler]


def length(vector: PyTree, scale: float | Array = 1.0) -> Float[Array, ""]:
    """|scale| times the norm of `vector`."""
    norm = jnp.sqrt(inner(vector, vector))
    return jnp.abs(jnp.asarray(scale).astype(norm.dtype)) * norm
