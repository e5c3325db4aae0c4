"""One dictionary in training, and one update of it."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree

from . import _control
from ._architecture import AbstractArchitecture
from ._control import Control
from ._dictionary import Dictionary
from ._few import loss_of
from ._state import State
from ._training import Training


class Member(NamedTuple):
    """What changes while one dictionary is trained.

    Args:
        dictionary: Its weights.
        optimizer: State of the optax transformation.
        kept: What its loss keeps beside weights.
        control: What the controller of its L0 keeps.
    """

    dictionary: Dictionary
    optimizer: PyTree
    kept: State
    control: Control


class Fixed(NamedTuple):
    """What is a member's own and does not change.

    Args:
        config: Its architecture.
        source: Which of the places that activations are of it reads.
        seed: Number of the random directions that it began with.
    """

    config: AbstractArchitecture
    source: Int[Array, "..."]
    seed: Int[Array, "..."]


class Record(NamedTuple):
    """What is known of each step, from the batch that it was made with.

    Args:
        loss: What was made smaller.
        reconstruction: Its part of squared errors.
        l0: Latents that fire, mean over the batch.
        fvu: Squared error over that of the batch's own mean.
        dead: Share of the latents that have been silent for long.
        coefficient: What the controller multiplies the sparsity coefficient by.
    """

    loss: Float[Array | np.ndarray, "..."]
    reconstruction: Float[Array | np.ndarray, "..."]
    l0: Float[Array | np.ndarray, "..."]
    fvu: Float[Array | np.ndarray, "..."]
    dead: Float[Array | np.ndarray, "..."]
    coefficient: Float[Array | np.ndarray, "..."]


def new_member(dictionary: Dictionary, training: Training) -> Member:
    """A dictionary before its first update.

    Args:
        dictionary: With the weights to begin with.
        training: Its optimiser and its target.
    """
    d_sae = dictionary.d_sae
    params = eqx.filter(dictionary, eqx.is_inexact_array)
    return Member(
        dictionary,
        training.build_optimizer(d_sae).init(params),
        State.new(d_sae),
        Control.new(training.target_l0 or 1.0),
    )


def update(
    member: Member,
    config: AbstractArchitecture,
    x: Float[Array, "batch ..."],
    target: Float[Array, "batch ..."],
    step: Int[Array, ""],
    training: Training,
) -> tuple[Member, Record]:
    """The member after one batch, and what is to be known of it before.

    Args:
        member: Before.
        config: Its architecture.
        x: Activations, scaled.
        target: What the output should be, scaled.
        step: Updates made so far.
        training: How it is trained.
    """
    progress = step.astype(jnp.float32) / training.steps
    aim = training.target_l0
    factor = jnp.ones(()) if aim is None else _control.factor(member.control, aim)
    if aim is not None:
        config = _control.strengthened(config, factor)
    params, rest = eqx.partition(member.dictionary, eqx.is_inexact_array)

    def objective(params: PyTree) -> tuple[Array, PyTree]:
        dictionary = eqx.combine(params, rest)
        return loss_of(config, dictionary, x, target, member.kept.at(progress))

    (loss, terms), gradient = jax.value_and_grad(objective, has_aux=True)(params)
    # optax mixes types, which users may have told JAX to refuse.
    with jax.numpy_dtype_promotion("standard"):
        change, optimizer = training.build_optimizer(config.d_sae).update(
            gradient, member.optimizer, params
        )
    params = optax.apply_updates(params, change)
    control = member.control
    if aim is not None:
        control = _control.after(
            control, terms.l0, aim, steps=training.steps, progress=progress
        )
    record = Record(loss, terms.reconstruction, terms.l0, terms.fvu, terms.dead, factor)
    dictionary: Any = eqx.combine(params, rest)
    return Member(dictionary, optimizer, terms.state, control), record
