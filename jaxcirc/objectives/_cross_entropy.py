"""Cross-entropy at the right answers."""

from typing import ClassVar, Literal

from jaxtyping import Array

from .._core import AbstractObjective
from ..metrics import surprise
from ..tasks import Batch, Pairs
from ._pairs import log_probability_right
from ._spec import ObjectiveSpec


class CrossEntropy(AbstractObjective):
    """Surprise at the right answer, -log p(target), in nats.

    The value of an example is the mean over its positions that count; `mean` is over
    the positions of all examples, and is `metrics.cross_entropy` of the logits. Both
    are in [0, inf), log(d_vocab) for a model that knows nothing, and keep their digits
    where the answer is all but certain. The model is called as `model(tokens)` and may
    be anything that gives logits; examples are a `Batch`, NaN where one has no position
    that counts.

    Of `Pairs` it is taken at the position `end` of the clean sequence, of all right
    answers together: -log Σ p(right), since any of them will do. Pairs without a right
    answer have no value.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.tasks import Batch
        >>> knows_nothing = lambda tokens: jnp.zeros((*tokens.shape, 4))
        >>> zeros = jnp.zeros((2, 3), int)
        >>> batch = Batch(zeros, zeros, zeros == 0)
        >>> [round(v, 4) for v in CrossEntropy()(knows_nothing, batch).tolist()]
        [1.3863, 1.3863]
    """

    better: ClassVar[Literal["lower", "higher"]] = "lower"

    def parts(self, model, examples: Batch | Pairs) -> tuple[Array, Array]:
        """The surprise at every position, and which positions count.

        Args:
            model: A model, called as `model(tokens)`.
            examples: A `Batch`, or `Pairs`, each of which has one place.
        """
        if isinstance(examples, Pairs):
            log_p, some = log_probability_right(model, examples)
            return -log_p[..., None], some[..., None]
        return surprise(model(examples.tokens), examples.targets), examples.mask


SPEC = ObjectiveSpec(
    name="cross_entropy",
    summary="surprise at the right answer, -log p",
    build=CrossEntropy,
    takes="batch",
    units="nats",
)
