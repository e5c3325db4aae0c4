"""Checkpoints that are there already, in the place of a training run."""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax.random as jr

from ..._core import tree_bytes
from ...checkpoints import Trajectory
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask
from ...training import TrainingDiverged
from ._source import AbstractSource, Cost, OnStep


class Ready(AbstractSource):
    """Trajectories of finished runs; several are seeds of one.

    Args:
        section: The part of the study that names them.
        trajectories: One per seed, with the same steps and config.
        seed: The first one's number.

    Raises:
        ValueError: there is no trajectory, or they differ in steps or config.
    """

    def __init__(
        self,
        section: str,
        trajectories: Sequence[Trajectory],
        seed: int = 0,
    ):
        if not trajectories:
            raise ValueError(f"{section}: it names no run.")
        _check_alike(section, trajectories)
        self._section, self._seed = section, seed
        self._trajectories = tuple(trajectories)

    @property
    def is_own(self) -> bool:
        """False: the checkpoints are somebody else's."""
        return False

    @property
    def seed(self) -> int:
        """The number of the first run's seed."""
        return self._seed

    @property
    def seeds(self) -> int:
        """The number of runs."""
        return len(self._trajectories)

    @property
    def checkpoint_steps(self) -> tuple[int, ...]:
        """Steps that have a checkpoint."""
        return self._trajectories[0].steps

    @property
    def copies(self) -> int:
        """One: nothing is trained, so weights are held once."""
        return 1

    @property
    def steps(self) -> int:
        """Zero: nothing is trained."""
        return 0

    def identity(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """The options that the study gives for the checkpoints."""
        return {self._section: dict(said)}

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the text that the models were trained on, if it is there."""
        return self._trajectories[0].tokenizer

    @property
    def model(self) -> TransformerConfig:
        """The config that all checkpoints have."""
        return TransformerConfig.from_dict(self._trajectories[0].info["model"])

    @property
    def name(self) -> str:
        """The name of the first run."""
        return self._trajectories[0].name

    def trajectories(
        self, model: TransformerConfig, task: AbstractTask, folder: str, on_step: OnStep
    ) -> tuple[Sequence[Trajectory], TrainingDiverged | None]:
        """The runs that are there."""
        del model, task, folder, on_step
        return self._trajectories, None

    def cost(self, model: TransformerConfig, task: AbstractTask) -> Cost:
        """The memory of two checkpoints: the one at hand, and the next."""
        del task
        shapes = eqx.filter_eval_shape(Transformer, model, key=jr.key(0))
        # The next checkpoint is read while one is measured.
        return Cost(0, 0, 2 * tree_bytes(shapes))


def _check_alike(section: str, trajectories: Sequence[Trajectory]) -> None:
    """Refuse runs that differ in steps or config.

    Raises:
        ValueError: two do.
    """
    first = trajectories[0]
    for other in trajectories[1:]:
        for what, a, b in (
            ("steps", first.steps, other.steps),
            ("a config", first.info["model"], other.info["model"]),
        ):
            if a != b:
                raise ValueError(
                    f"{section}: {other.name} has {what} other than {first.name}; "
                    "runs that are seeds of one must agree."
                )
