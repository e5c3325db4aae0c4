"""A score turned into a loss."""

from typing import ClassVar, Literal

from jaxtyping import Array

from .._core import AbstractObjective


class Negative(AbstractObjective):
    """The negative of a score, such as `LogitDifference`: a loss to be made smaller.

    Training and sampling minimise, and would make a score as bad as they can; they
    refuse one, and take its negative. Values and mean are those of the score times -1,
    in its units.

    Args:
        score: An objective that is higher for a better model.

    Raises:
        ValueError: `score` is a loss already.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.objectives import LogitDifference
        >>> from jaxcirc.tasks import Pairs
        >>> two, one = jnp.array([[2]]), jnp.array([[1]])
        >>> pairs = Pairs(two, one, two, one, {"end": jnp.array([0])})
        >>> counts = lambda tokens: jnp.arange(3.0)[None, None]
        >>> float(Negative(LogitDifference()).mean(counts, pairs))  # -(2 - 1)
        -1.0
    """

    score: AbstractObjective
    better: ClassVar[Literal["lower", "higher"]] = "lower"

    def __check_init__(self):
        if self.score.better == "lower":
            raise ValueError(
                f"Negative: {type(self.score).__name__} is a loss already; its "
                "negative would be lowest for the worst model. Give it as it is."
            )

    def parts(self, model, examples) -> tuple[Array, Array]:
        """The places of the score, with values of the other sign.

        Args:
            model: A model, called as `model(tokens)`.
            examples: What the score takes.
        """
        values, mask = self.score.parts(model, examples)
        return -values, mask
