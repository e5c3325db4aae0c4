"""The difference of probability between right answers and wrong ones."""

from typing import ClassVar, Literal

import jax
from jaxtyping import Array

from .._core import AbstractObjective, at_least_float32
from ..tasks import Pairs
from ._pairs import logits_at_end, over_answers
from ._spec import ObjectiveSpec


class ProbabilityDifference(AbstractObjective):
    """Probability of all right answers of a pair minus that of all wrong ones.

    In [-1, 1]: Σ p(right) - Σ p(wrong) at the position `end` of the clean sequence of
    each of `Pairs`. Sums, and not means, since the answers of a set share its
    probability, as the years after a given one do (Hanna et al. 2023, section 2).
    Unchanged by a constant added to all logits. A pair without right or wrong answers
    has no value: NaN by itself, and no part in the mean.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.tasks import Pairs
        >>> two, one = jnp.array([[2, 3]]), jnp.array([[0, -1]])
        >>> pairs = Pairs(two, one, two, one, {"end": jnp.array([0])})
        >>> fair = lambda tokens: jnp.zeros((*tokens.shape, 4))
        >>> float(ProbabilityDifference().mean(fair, pairs))  # 2 / 4 - 1 / 4
        0.25
    """

    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def parts(self, model, examples: Pairs) -> tuple[Array, Array]:
        """One place for each pair, which counts where it has answers of both kinds.

        Args:
            model: A model, called as `model(tokens)`.
            examples: `Pairs`.
        """
        logits = at_least_float32(logits_at_end(model, examples))
        p = jax.nn.softmax(logits, axis=-1)
        right, some_right = over_answers(p, examples.right)
        wrong, some_wrong = over_answers(p, examples.wrong)
        counts = some_right.any(axis=-1) & some_wrong.any(axis=-1)
        return (right.sum(axis=-1) - wrong.sum(axis=-1))[..., None], counts[..., None]


SPEC = ObjectiveSpec(
    name="probability_difference",
    summary="probability of right answers minus that of wrong ones",
    build=ProbabilityDifference,
    takes="pairs",
    units="",
)
