"""Where the checkpoints of a study come from."""

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ...checkpoints import Trajectory
from ...models import TransformerConfig
from ...tasks import AbstractTask
from ...training import TrainingDiverged

OnStep = Callable[[int, float], None]


class Cost(NamedTuple):
    """What getting the checkpoints takes, without doing it.

    Args:
        steps: Updates to make.
        disk_bytes: Bytes of files to write.
        memory_bytes: Bytes on the device, at the peak.
    """

    steps: int
    disk_bytes: int
    memory_bytes: int


class AbstractSource(abc.ABC):
    """Where a study's checkpoints come from: one trajectory for each seed.

    Training, published checkpoints and other runs are such places, and nothing else in
    a study asks which one it is.
    """

    @property
    @abc.abstractmethod
    def is_own(self) -> bool:
        """Whether the study makes the checkpoints itself.

        A broken file of its own is to be mended; one of somebody else's, to be told.
        """

    @property
    @abc.abstractmethod
    def seed(self) -> int:
        """The number of the first seed."""

    @property
    @abc.abstractmethod
    def seeds(self) -> int:
        """The number of seeds."""

    @property
    @abc.abstractmethod
    def checkpoint_steps(self) -> tuple[int, ...]:
        """Steps that have a checkpoint, or will have one, ascending."""

    @property
    @abc.abstractmethod
    def copies(self) -> int:
        """How many times all weights are held on the device, at least."""

    @property
    @abc.abstractmethod
    def steps(self) -> int:
        """Updates to make; 0 where the checkpoints are there."""

    @abc.abstractmethod
    def identity(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Plain values that decide the weights, beside task and model.

        Args:
            said: The options that the study gives.
        """

    @abc.abstractmethod
    def trajectories(
        self, model: TransformerConfig, task: AbstractTask, folder: str, on_step: OnStep
    ) -> tuple[Sequence[Trajectory], TrainingDiverged | None]:
        """The trajectories to measure, and why training stopped, if it did.

        Args:
            model: The config of the checkpoints.
            task: The task that is learnt.
            folder: Where training keeps its files.
            on_step: Called with (step, mean loss) while there is training.

        Raises:
            CheckpointError: a file is damaged.
            OSError: the folder cannot be written.
        """

    @abc.abstractmethod
    def cost(self, model: TransformerConfig, task: AbstractTask) -> Cost:
        """What getting the checkpoints takes; compiles what would run.

        Args:
            model: The config of the checkpoints.
            task: The task that is learnt.
        """

    @property
    def tasks(self) -> tuple[AbstractTask, ...]:
        """Tasks besides the study's own that the models must be able to read."""
        return ()

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of the text that the models know, if it comes with them."""
        return None

    @property
    def model(self) -> TransformerConfig | None:
        """The config of the checkpoints; None where the study decides that."""
        return None

    @property
    def name(self) -> str:
        """The name of the source in messages."""
        return ""


class SourceSpec(NamedTuple):
    """A row of the catalogue of sources.

    Args:
        section: The part of a study that gives its options, which is its name.
        summary: One line on it.
        trains: Whether the study then names a model to train.
        options: Gives a callable whose parameters are the options, with their types;
            called when a study names the source.
        build: Keyword options -> source.
    """

    section: str
    summary: str
    trains: bool
    options: Callable[[], Callable[..., Any]]
    build: Callable[..., AbstractSource]
