"""The probability of the right answers."""

from typing import ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array

from .._core import AbstractObjective
from ..tasks import Pairs
from ._pairs import log_probability_right
from ._spec import ObjectiveSpec


class AnswerProbability(AbstractObjective):
    """Probability of all right answers of a pair together.

    In [0, 1]: Σ p(right) at the position `end` of the clean sequence of each of
    `Pairs`. Unlike a difference it does not ask for wrong answers, and it says how
    often a sampled answer would be right. A pair without a right answer has no value:
    NaN by itself, and no part in the mean.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.tasks import Pairs
        >>> two, one = jnp.array([[2, 3]]), jnp.array([[0, -1]])
        >>> pairs = Pairs(two, two, two, one, {"end": jnp.array([0])})
        >>> fair = lambda tokens: jnp.zeros((*tokens.shape, 4))
        >>> round(float(AnswerProbability().mean(fair, pairs)), 4)
        0.5
    """

    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def parts(self, model, examples: Pairs) -> tuple[Array, Array]:
        """One place for each pair, which counts where it has a right answer.

        Args:
            model: A model, called as `model(tokens)`.
            examples: `Pairs`.
        """
        log_p, some = log_probability_right(model, examples)
        return jnp.exp(log_p)[..., None], some[..., None]


SPEC = ObjectiveSpec(
    name="answer_probability",
    summary="probability of all right answers together",
    build=AnswerProbability,
    takes="pairs",
    units="",
)
