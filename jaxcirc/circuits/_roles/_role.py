"""What a role of heads is: a score for every head, its chance, and a row."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

if TYPE_CHECKING:
    from ._scene import Scene


class Role(NamedTuple):
    """How far each head plays a role.

    Args:
        score: A number for each head, at most 1 where it is a share or a probability.
            Where the role asks for more than the score says, and a head has it not, its
            score is `chance`.
        chance: The score of a head that knows nothing.
        evidence: What the score was judged by, each for every head, by name.
    """

    score: Float[Array, "layer head"]
    chance: float
    evidence: Mapping[str, Float[Array, "layer head"]] = {}

    def lead(self) -> Float[Array, "layer head"]:
        """The share of the way from chance to 1 that each score has gone."""
        return (self.score - self.chance) / (1 - self.chance)

    def plays(self, threshold: float) -> Bool[Array, "layer head"]:
        """Which heads play the role.

        Args:
            threshold: The least lead that counts.
        """
        return self.lead() >= threshold


class RoleSpec(NamedTuple):
    """A row of the catalogue of roles.

    Args:
        name: What the role is called.
        summary: One line about it.
        find: Whatever was observed -> scores of all heads.
        threshold: The share of the way from chance to 1 from which a head plays it.
        positions: Names of positions that pairs must have, besides `end`.
        paper: Where the role was described.
        takes_classes: Whether it needs classes of tokens in their order.
    """

    name: str
    summary: str
    find: Callable[["Scene"], Role]
    threshold: float
    positions: tuple[str, ...] = ()
    paper: str = ""
    takes_classes: bool = False


def gated(
    score: Float[Array, "layer head"],
    chance: float,
    *conditions: Bool[Array, "..."],
) -> Float[Array, "layer head"]:
    """Scores of the heads that meet all conditions, and chance for all others.

    Args:
        score: A number for each head.
        chance: The score of a head that knows nothing.
        *conditions: What the role asks for, of each head or of all of them.
    """
    kept = jnp.ones(score.shape, bool)
    for condition in conditions:
        kept &= jnp.broadcast_to(condition, score.shape)
    return jnp.where(kept, score, jnp.asarray(chance, score.dtype))
