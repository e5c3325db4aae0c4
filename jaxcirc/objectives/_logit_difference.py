"""The difference of logits between right answers and wrong ones."""

from typing import ClassVar, Literal

from jaxtyping import Array, Bool, Float

from .._core import AbstractObjective, at_least_float32
from ..tasks import Pairs
from ._pairs import logits_at_end, over_answers
from ._spec import ObjectiveSpec


class LogitDifference(AbstractObjective):
    """Mean logit of a pair's right answers minus that of its wrong ones, in logits.

    Unbounded, 0 by chance, and unchanged by a constant added to all logits. Circuits
    are most often found by it, since it is linear in what is written to the residual
    stream (Wang et al. 2023, section 2). It is taken at the position `end` of the clean
    sequence of each of `Pairs`. To run another sequence against the same answers, give
    `pairs._replace(clean=pairs.corrupted)`. A pair without right or wrong answers has
    no value: it is NaN by itself, and has no part in the mean.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.tasks import Pairs
        >>> three, two = jnp.array([[2, -1]]), jnp.array([[0, 1]])
        >>> pairs = Pairs(three, two, three, two, {"end": jnp.array([0])})
        >>> counts = lambda tokens: jnp.arange(3.0)[None, None] + jnp.zeros((1, 2, 1))
        >>> float(LogitDifference().mean(counts, pairs))  # 2 - (0 + 1) / 2
        1.5
    """

    better: ClassVar[Literal["lower", "higher"]] = "higher"

    def parts(self, model, examples: Pairs) -> tuple[Array, Array]:
        """One place for each pair, which counts where it has answers of both kinds.

        Args:
            model: A model, called as `model(tokens)`.
            examples: `Pairs`.
        """
        logits = at_least_float32(logits_at_end(model, examples))
        right, some_right = _mean_over(*over_answers(logits, examples.right))
        wrong, some_wrong = _mean_over(*over_answers(logits, examples.wrong))
        return (right - wrong)[..., None], (some_right & some_wrong)[..., None]


def _mean_over(
    values: Float[Array, "*example k"], there: Bool[Array, "*example k"]
) -> tuple[Float[Array, "*example"], Bool[Array, "*example"]]:
    # Without answers this is 0 / 1: the mask drops it, where NaN would spoil gradients.
    number = there.sum(axis=-1)
    total = values.sum(axis=-1)
    return total / number.clip(1).astype(values.dtype), number > 0


SPEC = ObjectiveSpec(
    name="logit_difference",
    summary="mean logit of right answers minus that of wrong ones",
    build=LogitDifference,
    takes="pairs",
    units="logits",
)
