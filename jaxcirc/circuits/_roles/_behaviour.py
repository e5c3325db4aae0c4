"""How well a model does a task, and what its heads attend to at the answer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..._core import Objective
from ...models import Transformer, capture
from ...tasks import Pairs
from .._at_end import logits_of
from .._path_effects import attention_to
from .._values import values_of
from ._told import TOLD, mean_and_error

NAMES = ("IO", "S1", "S2")


class Behaviour(NamedTuple):
    """The clean run.

    Args:
        mean: The objective's mean over pairs.
        error: Its standard error.
        told: Whether it is above 0 by three standard errors, so that the model does
            the task.
        attention: Mean attention of every head from the end to the names, in the order
            of `NAMES`; 0 where pairs have no such positions.
    """

    mean: Float[Array, ""]
    error: Float[Array, ""]
    told: Bool[Array, ""]
    attention: Float[Array, "layer head name"]

    @property
    def attends_to_io(self) -> Bool[Array, "layer head"]:
        """Which heads attend from the end to IO more than to either place of S."""
        io, *others = jnp.moveaxis(self.attention, -1, 0)
        return (io > others[0]) & (io > others[1])


def observed(
    model: Transformer, pairs: Pairs, objective: Objective, batch_size: int
) -> Behaviour:
    """Run the clean sequences, some at a time.

    Args:
        model: The model.
        pairs: Pairs with named positions.
        objective: What the behaviour is measured by.
        batch_size: Examples at once.
    """
    names = tuple(name for name in NAMES if name in pairs.positions)

    def chunk(some: Pairs):
        want = ("logits.in", "attn.pattern")
        _, acts = capture(model, some.clean, want)
        logits = logits_of(model, acts["logits.in"], some, objective)
        seen = attention_to(acts["attn.pattern"], some.positions, names or ("end",))
        return values_of(objective, logits, some), seen

    with jax.default_matmul_precision("highest"):
        (values, counts), seen = by_chunks(chunk, pairs, batch_size)
    mean, error = mean_and_error(values, counts)
    # Attention of every pair counts, whether it has an answer or not.
    attention = (
        seen.mean(axis=0) if names == NAMES else jnp.zeros((*seen.shape[1:3], 3))
    )
    return Behaviour(mean, error, mean > TOLD * error, attention)


def by_chunks(run, pairs: Pairs, size: int):
    """What a function of some pairs gives for all, in arrays that begin with examples.

    Args:
        run: Pairs -> a tree of arrays that begin with an axis of examples.
        pairs: All of them.
        size: How many at once.
    """
    n = len(pairs.clean)
    places = jnp.arange(-(-n // size) * size).reshape(-1, size)
    # The last chunk is filled up with the last pair, which is cut off again.
    rows = jnp.minimum(places, n - 1)
    some = lambda at: run(jax.tree.map(lambda x: x[at], pairs))
    made = jax.lax.map(some, rows)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:n], made)
