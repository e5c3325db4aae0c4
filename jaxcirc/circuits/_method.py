"""What a method is: a question about edges in, a number for each edge out."""

import abc
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..models import Graph
from ._setting import Setting


class AbstractMethod(eqx.Module):
    """A way to score edges.

    A method adds over examples if the scores of two chunks are those of both together;
    then it is asked for chunks, examples can be told apart, and memory is bounded. One
    that searches is asked once, for all examples.

    Attributes:
        name: What it is called.
        adds: Whether it adds over examples.
        clean_only: Whether it looks at the clean run's gradient alone, so that an
            objective which is flat there says nothing.
        signed: Whether a score has the sign of the change; otherwise it is a size.
    """

    name: eqx.AbstractClassVar[str]
    adds: ClassVar[bool] = True
    clean_only: ClassVar[bool] = False
    signed: ClassVar[bool] = True

    @property
    def runs(self) -> int:
        """How many forward passes of an example are held at once; 1 by default."""
        return 1

    @abc.abstractmethod
    def __call__(self, setting: Setting) -> Float[Array, "*axes source destination"]:
        """Scores of all edges, of the setting's `shape`.

        Summed over examples by their weights where they are not told apart, never
        divided: who asks divides once, by the number of examples.

        Args:
            setting: The question.
        """


def only_edges(
    graph: Graph, scores: Float[Array, "*axes source destination"]
) -> Float[Array, "*axes source destination"]:
    """Scores with 0 where there is no edge.

    Args:
        graph: Whose sources and destinations these are.
        scores: Any numbers by source and destination.
    """
    return jnp.where(jnp.broadcast_to(graph.exists, scores.shape), scores, 0)


class MethodSpec(NamedTuple):
    """A row of the catalogue of methods.

    Args:
        name: What it is called.
        summary: One line about it.
        build: Keyword options -> method.
        paper: Where it is from.
        linear: Whether it equals patching on a model that is linear in its inputs.
    """

    name: str
    summary: str
    build: Callable[..., AbstractMethod]
    paper: str
    linear: bool = True
