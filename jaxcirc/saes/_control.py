"""A coefficient that moves until as many latents fire as were asked for."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._architecture import AbstractArchitecture
from ._checks import require

# What architectures call the coefficient of their sparsity.
COEFFICIENTS = ("l1", "l0")
# Kinds of sparsity whose loss has a target: with two of them a coefficient grows for
# ever, since nothing that it does can move L0 from the one to the other.
OWN_TARGET = ("quadratic", "target")

# How fast the coefficient's logarithm follows a deviation, in one e-fold for every
# so large a share of the training, and over how many steps L0 is averaged.
RESPONSE, AVERAGED = 0.02, 20
# L0 starts far from anything, and what it does before this share says nothing.
BEGINS = 0.05


class Control(NamedTuple):
    """What the controller keeps.

    Args:
        integral: Logarithm of the factor that deviations so far have led to.
        l0: Running mean of L0.
    """

    integral: Float[Array, ""]
    l0: Float[Array, ""]

    @classmethod
    def new(cls, target: float) -> "Control":
        """A factor of 1, and nothing to correct.

        Args:
            target: The L0 that is asked for.
        """
        return cls(jnp.zeros(()), jnp.asarray(target, jnp.float32))


def coefficient(config: AbstractArchitecture) -> str:
    """The name of the coefficient that decides how many latents fire.

    Args:
        config: The architecture.

    Raises:
        ValueError: it has none, as where the number of latents is given, or its loss
            has a target already.
    """
    found = [name for name in COEFFICIENTS if hasattr(config, name)]
    kind = type(config).__name__
    require(
        len(found) == 1,
        f"`target_l0` moves a coefficient of sparsity, and {kind} has none: its own "
        "options say how many latents fire.",
    )
    require(
        getattr(config, "sparsity", None) not in OWN_TARGET,
        f"`target_l0` moves a coefficient, and {kind} with `sparsity="
        f"{getattr(config, 'sparsity', None)!r}` has a target of its own: set that as "
        "its `target_l0`, or give it `sparsity='step'`.",
    )
    return found[0]


def strengthened(
    config: AbstractArchitecture, by: Float[Array, ""]
) -> AbstractArchitecture:
    """The architecture with its coefficient of sparsity multiplied.

    Args:
        config: The architecture.
        by: The factor.
    """
    name = coefficient(config)
    return dataclasses.replace(config, **{name: getattr(config, name) * by})


def deviation(control: Control, target: float) -> Float[Array, ""]:
    """How far L0 is above the target: the logarithm of their ratio, in [-1, 1].

    Args:
        control: What the controller keeps.
        target: The L0 that is asked for.
    """
    return jnp.clip(jnp.log(jnp.maximum(control.l0, 1e-3) / target), -1, 1)


def factor(control: Control, target: float) -> Float[Array, ""]:
    """What the coefficient is multiplied by: exp(deviation + integral).

    The first part answers at once and damps; the second is what remains in the end,
    when the first is 0.

    Args:
        control: What the controller keeps.
        target: The L0 that is asked for.
    """
    return jnp.exp(deviation(control, target) + control.integral)


def after(
    control: Control,
    l0: Float[Array, ""],
    target: float,
    *,
    steps: int,
    progress: Float[Array, ""],
) -> Control:
    """What the controller keeps after a step.

    Args:
        control: What it kept before.
        l0: The batch's L0.
        target: The L0 that is asked for.
        steps: Of the whole training.
        progress: Share of them that is done.
    """
    mean = control.l0 + (l0 - control.l0) / AVERAGED
    control = control._replace(l0=mean)
    gain = jnp.where(progress >= BEGINS, 1 / (RESPONSE * steps), 0.0)
    gain = jnp.minimum(gain, 1 / AVERAGED)
    return control._replace(
        integral=control.integral + gain * deviation(control, target)
    )
