"""Copying scores: whether a head says the name that it attends to."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ...models import Transformer, capture
from ...tasks import Pairs
from ._behaviour import NAMES
from ._ov_logits import of_each_head


class Copying(NamedTuple):
    """How often heads say the names that they attend to.

    Args:
        says: Share of names that are among the largest logits which a head adds.
        denies: Share of names that are among the smallest.
        chance: The share for directions that have nothing to do with the names.
    """

    says: Float[Array, "layer head"]
    denies: Float[Array, "layer head"]
    chance: float


def copied(model: Transformer, pairs: Pairs, n: int, top: int) -> Copying:
    """Copying scores of all heads (Wang et al. 2023, section 3.1).

    What a head would write if it attended to a name alone is unembedded: the name is
    taken from the residual stream behind the first layer, at the positions IO, S1 and
    S2. The score is the share of them whose own token is among the `top` logits.

    Args:
        model: The model.
        pairs: Pairs with these positions.
        n: How many pairs are looked at, from the first.
        top: How many of the largest logits count.

    Returns:
        Shares of names said and denied, in [0, 1]; chance is top / d_vocab.
    """
    some = pairs.clean[:n]
    places = jnp.stack([pairs.positions[name][:n] for name in NAMES], axis=1)
    # Behind the first layer, since many models make words of tokens there.
    _, acts = capture(model, some, ("resid_post",))
    example = jnp.arange(len(some))[:, None]
    stream, names = acts["resid_post"][0][example, places], some[example, places]

    def read(logits):
        own = jnp.take_along_axis(logits, names[..., None], axis=-1)
        # A tie is no lead: a head that writes nothing says no name.
        above = (logits >= own).sum(axis=-1) - 1
        below = (logits <= own).sum(axis=-1) - 1
        return jnp.mean(above < top), jnp.mean(below < top)

    says, denies = of_each_head(model, stream, read)
    return Copying(says, denies, top / model.config.sizes.d_vocab_out)
