"""Checkpoints that somebody else has trained, in the place of a training run."""

from typing import Any, NamedTuple

from ..checkpoints import Trajectory
from ..models import TransformerConfig


class Published(NamedTuple):
    """Trajectories of published runs; several are seeds of one.

    It answers what a measurement asks of a `Training`.

    Args:
        trajectories: One per seed, with the same steps and config.
        options: What the study says of them.
    """

    trajectories: tuple[Trajectory, ...]
    options: dict[str, Any]

    @property
    def seed(self) -> int:
        """The first one's number."""
        return 0

    @property
    def seeds(self) -> int:
        """How many runs there are."""
        return len(self.trajectories)

    @property
    def checkpoint_steps(self) -> tuple[int, ...]:
        """Steps that have a checkpoint."""
        return self.trajectories[0].steps

    @property
    def steps(self) -> int:
        """Updates to make: none."""
        return 0

    @property
    def model(self) -> TransformerConfig:
        """What all of them are checkpoints of."""
        return TransformerConfig.from_dict(self.trajectories[0].info["model"])
