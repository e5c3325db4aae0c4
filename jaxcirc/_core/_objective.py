"""What a number is taken of: the value of each example, and their mean."""

import abc
from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from ._dtypes import at_least_float32

# What every function that needs one takes: an `AbstractObjective`, or anybody's
# function of weights and examples that gives one number per example.
Objective = Callable[[Any, Any], Array]


class AbstractObjective(eqx.Module):
    """A number for each of a batch's examples: `(params, examples) -> values`.

    A subclass says in `parts` what is counted at each place of an example, and which
    places count. The value of an example is the mean over its own places, and `mean` is
    the mean over the places of all examples together: where examples have different
    numbers of places the two weigh them differently. A local learning coefficient is of
    the first, since its temperature counts examples; training minimises the second.

    Attributes:
        better: Whether the objective is a loss, which is `lower` for a better model, or
            a score, which is `higher`. What minimises refuses a score.
    """

    better: eqx.AbstractClassVar[Literal["lower", "higher"]]

    @abc.abstractmethod
    def parts(self, model: Any, examples: Any) -> tuple[Array, Array]:
        """What is counted at each place, and a mask of the places that count.

        Args:
            model: Weights that are called as a function of tokens.
            examples: What the objective takes, such as a `Batch`; also a single one,
                without an example axis.

        Returns:
            Values and mask of equal shape, `[*example, place]`.
        """

    def __call__(self, model: Any, examples: Any) -> Float[Array, " example"]:
        """The value of each example: the mean over its places that count.

        Args:
            model: Weights that are called as a function of tokens.
            examples: What the objective takes, with one leading example axis.
        """
        return jax.vmap(masked_mean)(*self.parts(model, examples))

    def mean(self, model: Any, examples: Any) -> Float[Array, ""]:
        """The mean over the places that count of all examples together.

        Args:
            model: Weights that are called as a function of tokens.
            examples: What the objective takes.
        """
        return masked_mean(*self.parts(model, examples))


def masked_mean(values: Array, mask: Bool[Array, "..."]) -> Float[Array, ""]:
    """The mean of the values whose mask is True, in float32 or wider.

    NaN if there are none, since an average over nothing has no value. A value that does
    not count has no part in it even if it is NaN.

    Args:
        values: Values of any shape.
        mask: Which of them count; of the same shape.
    """
    values = at_least_float32(values)
    return jnp.sum(jnp.where(mask, values, 0)) / mask.sum().astype(values.dtype)


def mean_of(objective: Objective, params: PyTree, examples: PyTree) -> Float[Array, ""]:
    """The mean of an objective: its own, or over examples for a plain function.

    Args:
        objective: An `AbstractObjective`, or a function that gives a value per example.
        params: The weights.
        examples: A pytree with a leading example axis.

    Raises:
        ValueError: the function does not give one value for each example.
    """
    if isinstance(objective, AbstractObjective):
        return objective.mean(params, examples)
    values = objective(params, examples)
    if jnp.ndim(values) != 1:
        raise _no_values(values)
    return values.mean()


def value_of_one(
    objective: Objective, params: PyTree, example: PyTree
) -> Float[Array, "*outcome"]:
    """The value of a single example, whose arrays have no example axis.

    Args:
        objective: (params, examples) -> the value of each, or its logits.
        params: The weights.
        example: One row of a batch.

    Raises:
        ValueError: the function does not give a value for each example.
    """
    if isinstance(objective, AbstractObjective):
        # The mean over the places of one example, by a smaller program than a batch's.
        return objective.mean(params, example)
    values = objective(params, jax.tree.map(lambda x: x[None], example))
    if jnp.shape(values)[:1] != (1,):
        raise _no_values(values)
    return values[0]


def _no_values(values: Array) -> ValueError:
    """An error for a function that does not give one value for each example."""
    return ValueError(
        "objective: a function `(params, examples)` must return one value for each "
        f"example; got an array of shape {list(jnp.shape(values))}. Leave out the mean "
        "over examples: it is taken by who needs it."
    )


def require_loss(objective: Objective, *, who: str) -> None:
    """Refuse a score where something is minimised.

    Args:
        objective: An objective, or any function, which counts as a loss.
        who: The function that takes it, for the message.

    Raises:
        ValueError: a better model has a higher value of this objective.
    """
    if isinstance(objective, AbstractObjective) and objective.better == "higher":
        name = type(objective).__name__
        raise ValueError(
            f"{who}: takes a loss, and {name} is higher for a better model. Give its "
            f"negative, `jaxcirc.objectives.Negative({name}(...))`."
        )
