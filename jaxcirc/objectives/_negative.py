"""A score as a loss, and a loss as a score."""

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
        ValueError: it is a loss already.

    Example:
        >>> import jax.numpy as jnp
        >>> from jaxcirc.objectives import LogitDifference
        >>> from jaxcirc.tasks import Pairs
        >>> one, none = jnp.array([[1]]), jnp.array([[0]])
        >>> pairs = Pairs(one, none, one, none, {"end": jnp.array([0])})
        >>> model = lambda tokens: jnp.array([[[0.0, 3.0]]])
        >>> float(Negative(LogitDifference()).mean(model, pairs))
        -3.0
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
        """Those of the score, with the other sign.

        Args:
            model: Called as `model(tokens)`.
            examples: What the score takes.
        """
        values, mask = self.score.parts(model, examples)
        return -values, mask
