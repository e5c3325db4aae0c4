"""An objective that a study names, with the examples that it is of."""

import equinox as eqx
import jax.random as jr
from jaxtyping import Array, Key

from ..._core import AbstractObjective, find, fold_name
from ...models import Transformer, TransformerConfig
from ...objectives import OBJECTIVES, Negative
from ...tasks import AbstractTask, Batch, Pairs


class NamedObjective(eqx.Module):
    """A row of the catalogue of objectives, as measurements use it.

    Args:
        name: The row's name.
        value: The objective.
        takes: What its examples are: a `batch` of positions, or `pairs`.
        units: Units of its values.
    """

    name: str = eqx.field(static=True)
    value: AbstractObjective
    takes: str = eqx.field(static=True)
    units: str = eqx.field(static=True)

    @property
    def loss(self) -> AbstractObjective:
        """The objective, or its negative where it is higher for a better model."""
        return Negative(self.value) if self.value.better == "higher" else self.value

    def examples(
        self, task: AbstractTask, n: int, key: Key[Array, ""]
    ) -> Batch | Pairs:
        """Train examples of the kind that the objective takes.

        Args:
            task: The study's task.
            n: How many.
            key: The row's own key.
        """
        key = fold_name(key, "examples")
        draw = task.pairs if self.takes == "pairs" else task.sample
        return draw(n, split="train", key=key)

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a task that has no examples for the objective, before any training.

        Args:
            config: The config of the study's models.
            task: The study's task.

        Raises:
            ValueError: the task has no pairs, or the objective needs more than a model
                and the task's examples, such as a reference.
        """
        model = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))

        def value(model: Transformer, key: Array) -> Array:
            return self.value(model, self.examples(task, 2, key))

        try:
            eqx.filter_eval_shape(value, model, jr.key(0))
        # What a task or somebody's objective raises while it is traced is theirs.
        except Exception as error:
            raise ValueError(
                f"objective {self.name!r} cannot be taken of this model and task: "
                f"{type(error).__name__}: {error}"
            ) from error


def named_objective(name: str) -> NamedObjective:
    """The objective of a name, without options.

    Args:
        name: A row of `jaxcirc.objectives.OBJECTIVES`.

    Raises:
        ValueError: there is no such row, or it cannot be built without options.
    """
    row = find(OBJECTIVES, name, kind="objective")
    try:
        value = row.build()
    except TypeError as error:
        raise ValueError(
            f"objective: {name!r} needs options, which a study cannot give: {error}."
        ) from error
    return NamedObjective(name, value, row.takes, row.units)
