"""What is expanded: a function of weights, looked at along a straight line of them."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, Int, PyTree

from ..models import AbstractIntervention, Transformer, capture


class AbstractLine(eqx.Module):
    """A function of arrays on the line `start + t direction`.

    Everything that varies is an array of this pytree, so that a compiled program gets
    it as an argument: programs whose inputs are all known when they are compiled were
    seen to give wrong coefficients, without an error.

    Attributes:
        start: The arrays at t = 0, and whatever else the function needs.
        direction: In the structure of `start`, None where nothing moves.
    """

    start: eqx.AbstractVar[Any]
    direction: eqx.AbstractVar[Any]

    def at(self, t: Float[Array, ""]) -> PyTree:
        """The value at `t`.

        Args:
            t: Where on the line; 0 is the start and 1 the end.
        """
        return self.value(moved(self.start, self.direction, t))

    @abc.abstractmethod
    def value(self, params: PyTree) -> PyTree:
        """The value of the function.

        Args:
            params: In the structure of `start`.
        """

    @abc.abstractmethod
    def written_out(self) -> "AbstractLine":
        """The same without loops, which `jax.experimental.jet` cannot follow."""


class FunctionLine(AbstractLine):
    """Any function of a pytree of arrays along a line.

    Args:
        fn: The function. Arrays that it holds as a pytree are arguments of a compiled
            program; those that it closes over are constants of it.
        start: What it is called with at t = 0.
        direction: What is added up to t = 1; None where nothing moves.
        loops: Whether transformers may use loops over their layers.
    """

    fn: Callable[[Any], PyTree]
    start: Any
    direction: Any
    loops: bool = eqx.field(static=True, default=True)

    def value(self, params: PyTree) -> PyTree:
        """`fn(params)`."""
        # Any other pytree is called as it is: its loops are its owner's.
        plain = self.loops or not isinstance(params, Transformer)
        return self.fn(params if plain else WrittenOut(params))

    def written_out(self) -> "FunctionLine":
        """The same with the layers of a transformer one after the other."""
        return FunctionLine(self.fn, self.start, self.direction, loops=False)


class ModelLine(AbstractLine):
    """Logits of a model along a line of its weights, its edits or both.

    Args:
        start: Model and edits at t = 0, the edits as `models.resolved_edits` has them.
        direction: What is added to both up to t = 1; None where nothing moves.
        tokens: Ids.
        want: Sites inside the blocks whose values are wanted too.
        loops: Whether layers may be a loop.
    """

    start: tuple[Transformer, tuple[AbstractIntervention, ...]]
    direction: Any
    tokens: Int[Array, "*batch pos"]
    want: tuple[str, ...] = eqx.field(static=True, default=())
    loops: bool = eqx.field(static=True, default=True)

    def value(self, params: PyTree) -> tuple[Array, dict[str, Array]]:
        """Logits, and the wanted sites."""
        model, edits = params
        # `auto` chooses the loop that is fastest; Taylor mode has no rule for any.
        loop = "auto" if self.loops else "python"
        if self.want:
            return capture(model, self.tokens, self.want, edits=edits, loop=loop)
        return model(self.tokens, edits=edits, loop=loop), {}

    def written_out(self) -> "ModelLine":
        """The same with the layers one after the other."""
        return ModelLine(self.start, self.direction, self.tokens, self.want, False)


class WrittenOut(eqx.Module):
    """A transformer that is called without a loop over its layers.

    Args:
        model: The transformer, whose weights are this one's attributes too.
    """

    model: Transformer

    def __call__(self, tokens, *, edits=()):
        """Logits at every position."""
        return self.model(tokens, edits=edits, loop="python")

    def __getattr__(self, name: str) -> Any:
        """A weight of the model."""
        # Looked up on the class while unpickling, when there is no model yet.
        if name == "model" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.model, name)


def moved(start: PyTree, direction: PyTree, t: float | Float[Array, ""]) -> PyTree:
    """`start + t direction`, and `start` itself where nothing moves.

    Args:
        start: Any pytree.
        direction: In its structure, None where nothing moves.
        t: How far.
    """

    def leaf(d, x):
        # In the leaf's own type: a wider t would widen the weights with it.
        return x if d is None else x + jax.numpy.asarray(t, x.dtype) * d

    return jax.tree.map(leaf, direction, start, is_leaf=lambda d: d is None)
