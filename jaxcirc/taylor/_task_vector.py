"""Task vectors: what a finetune has added, as something that can be added again."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._core import named_leaves, number_dtype
from ._models import direction_between


class TaskVector(eqx.Module):
    """The difference of two models' weights, with the arithmetic of vectors.

    τ = w1 - w0, in float32 or wider. Sums teach one model several tasks, a negative
    multiple makes it forget one, and a multiple in between goes part of the way
    (Ilharco et al. 2022, arXiv:2212.04089). How well that works depends on the model:
    only in a linearised one do the effects of two vectors add up exactly.

    Args:
        change: What is added to each weight, in the structure of the model; None where
            it holds no number.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import taylor
        >>> base = {"w": jnp.array([1.0, 2.0])}
        >>> one = taylor.task_vector(base, {"w": jnp.array([2.0, 2.0])})
        >>> two = taylor.task_vector(base, {"w": jnp.array([1.0, 5.0])})
        >>> (one + two).applied(base)["w"].tolist(), (-one).applied(base)["w"].tolist()
        ([2.0, 5.0], [0.0, 2.0])
    """

    change: PyTree

    def applied(self, base: PyTree, scale: float | Float[Array, ""] = 1.0) -> PyTree:
        """The model base + scale · τ, in the base's own types.

        Args:
            base: A model of the structure that the vector was taken of.
            scale: How much of it; negative to forget.

        Raises:
            ValueError: the model has other weights.
        """
        _check_fits(self.change, base, "applied")

        def moved(d: Array | None, x: Any) -> Any:
            if d is None:
                return x
            return x + (jnp.asarray(scale, d.dtype) * d).astype(x.dtype)

        return jax.tree.map(moved, self.change, base, is_leaf=lambda d: d is None)

    def norm(self) -> Float[Array, ""]:
        """The length over all weights together."""
        return jnp.sqrt(self.dot(self))

    def dot(self, other: "TaskVector") -> Float[Array, ""]:
        """The inner product with another vector of the same model.

        Args:
            other: The other vector.

        Raises:
            ValueError: it is of a model with other weights.
        """
        _check_fits(self.change, other.change, "dot")
        pairs = zip(*map(jax.tree.leaves, (self.change, other.change)), strict=True)
        products = [jnp.vdot(a, b, precision="highest") for a, b in pairs]
        return sum(products, jnp.zeros((), number_dtype(self.change)))

    def cosine(self, other: "TaskVector") -> Float[Array, ""]:
        """Cosine of the angle to another vector; NaN where either has no length.

        Vectors of unrelated tasks are nearly at right angles, which is why their sums
        work; a cosine near 1 says that two finetunes did the same.

        Args:
            other: The other vector.

        Raises:
            ValueError: it is of a model with other weights.
        """
        return self.dot(other) / (self.norm() * other.norm())

    def __add__(self, other: "TaskVector") -> "TaskVector":
        _check_fits(self.change, other.change, "+")
        return TaskVector(jax.tree.map(jnp.add, self.change, other.change))

    def __sub__(self, other: "TaskVector") -> "TaskVector":
        return self + (-other)

    def __neg__(self) -> "TaskVector":
        return self * -1.0

    def __mul__(self, scale: float | Float[Array, ""]) -> "TaskVector":
        scaled = lambda x: jnp.asarray(scale, x.dtype) * x
        return TaskVector(jax.tree.map(scaled, self.change))

    __rmul__ = __mul__


def task_vector(base: PyTree, tuned: PyTree) -> TaskVector:
    """What finetuning has added to each weight.

    Args:
        base: The model before.
        tuned: The model after, of the same structure.

    Returns:
        The difference, which can be scaled, added to others and applied to a model.

    Raises:
        ValueError: the two differ in structure, shapes or types, or a weight is not
            finite.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc import taylor
        >>> half = 0.5 * taylor.task_vector(jnp.zeros(2), jnp.array([3.0, 4.0]))
        >>> float(half.norm()), half.applied(jnp.ones(2)).tolist()
        (2.5, [2.5, 3.0])
    """
    _, direction = direction_between(base, tuned, who="taylor.task_vector")
    return TaskVector(direction)


def _check_fits(change: PyTree, other: PyTree, what: str) -> None:
    """Refuse weights of another structure, and name the first difference.

    Raises:
        ValueError: a weight is missing, or has another shape.
    """
    mine, theirs = named_leaves(change), named_leaves(other)
    for name, leaf in mine.items():
        there = theirs.get(name)
        if there is None or np.shape(there) != leaf.shape:
            has = "nothing" if there is None else f"shape {np.shape(there)}"
            raise ValueError(
                f"TaskVector.{what}: the vector has shape {leaf.shape} at "
                f"{name or 'the array'!r}, and the other {has}. Take vectors and "
                "models of one config."
            )
