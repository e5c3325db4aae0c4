"""What a study says, and what becomes of it: objects that are ready to run."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import pydantic

from ..models import TransformerConfig
from ..tasks import AbstractTask
from ._measurements import AbstractMeasurement, Once, Use
from ._sources import AbstractSource
from ._task import data_fingerprint
from ._trackers import AbstractTracker
from ._uses import order


class StudyError(ValueError):
    """A study file or an override says something that cannot be run."""


# Far more than any training has, and few enough to be counted.
Step = Annotated[int, pydantic.Field(ge=0, lt=2**53)]


class StepRange(pydantic.BaseModel, extra="forbid", frozen=True):
    """Steps from `start` to `end`, both included, `step` apart."""

    start: Step
    end: Step
    step: int = pydantic.Field(gt=0)


Steps = list[Step] | StepRange | None


class MeasureConfig(pydantic.BaseModel, extra="allow", frozen=True):
    """One row as a study writes it: a measurement's name, and its options.

    Its `id` names a folder, a node of the results and a part of the page. With a `task`
    it looks at that task's examples in place of the study's: what a finetuned model
    still does of the first.
    """

    name: str
    id: str = pydantic.Field(default="", pattern=r"^(?:\w[\w .,:+@=()-]*)?$")
    steps: Steps = None
    uses: dict[str, str] = {}
    task: dict[str, Any] = {}

    @property
    def options(self) -> dict[str, Any]:
        """The options that go to the measurement itself."""
        return dict(self.model_extra or {})


class StudyConfig(pydantic.BaseModel, extra="forbid", frozen=True):
    """A study as written; `prepare` turns it into objects.

    Args:
        name: Name of the study, and of its folder unless `out` says another.
        about: A sentence on what it is for, which the report shows.
        task: The task's `name` and its options.
        model: The `family` and its options, where the study trains.
        training: Options of training.
        trajectory: Published checkpoints to measure in place of training.
        run: Another run whose checkpoints are measured in place of training.
        measure: The rows, in the order of the report.
        steps: Checkpoints that rows see unless they say their own; all if None.
        track: The tracker's `name` and its options, if numbers go to one.
        out: The run's folder; `runs/NAME` if empty.
    """

    name: str = pydantic.Field(pattern=r"^\w[\w.-]*$")
    about: str = ""
    task: dict[str, Any]
    model: dict[str, Any] = {}
    training: dict[str, Any] = {}
    trajectory: dict[str, Any] = {}
    run: dict[str, Any] = {}
    measure: list[MeasureConfig] = []
    steps: Steps = None
    track: dict[str, Any] = {}
    out: str = ""

    @property
    def folder(self) -> str:
        """The folder that the run goes to."""
        return self.out or f"runs/{self.name}"


class Measurement(NamedTuple):
    """A row that is ready to run.

    Args:
        id: The name of its results.
        name: The name of its kind in the catalogue.
        options: Its options as the study gives them.
        steps: Checkpoints that it sees; none if it runs once.
        measure: The measurement.
        uses: What else it sees, by name: what the study says, and what its options do.
        asked: Names that the study itself says.
        task: Whose examples it sees; the study's own if None.
        said: What the study says of that task.
    """

    id: str
    name: str
    options: dict[str, Any]
    steps: tuple[int, ...]
    measure: AbstractMeasurement
    uses: Mapping[str, Use] = {}
    asked: frozenset[str] = frozenset()
    task: AbstractTask | None = None
    said: Mapping[str, Any] = {}

    @property
    def places(self) -> tuple[int | None, ...]:
        """The steps of its cells, or None alone where it runs once."""
        return (None,) if isinstance(self.measure, Once) else self.steps


class Track(NamedTuple):
    """The tracker that a study names.

    Args:
        name: Its name in the catalogue.
        tracker: The tracker, not started yet.
    """

    name: str
    tracker: AbstractTracker


class Prepared(NamedTuple):
    """Everything a run needs, checked to fit together.

    Args:
        config: The study as written.
        task: The task that is learnt.
        model: The config of the checkpoints.
        source: Where the checkpoints come from.
        said: The options that the study gives for that.
        measurements: The rows.
        track: Where numbers go besides; None if nowhere.
    """

    config: StudyConfig
    task: AbstractTask
    model: TransformerConfig
    source: AbstractSource
    said: dict[str, Any]
    measurements: tuple[Measurement, ...]
    track: Track | None = None

    @property
    def stages(self) -> list[list[Measurement]]:
        """Rows in the order in which they are measured; see `order`."""
        rows = {row.id: row for row in self.measurements}
        found = order({row.id: row.uses for row in self.measurements})
        return [[rows[row] for row in stage] for stage in found]

    @property
    def in_order(self) -> list[Measurement]:
        """Rows after all that they use."""
        return [row for stage in self.stages for row in stage]

    def task_of(self, row: Measurement) -> AbstractTask:
        """The task whose examples a row sees: its own, or else the study's.

        Args:
            row: One of the rows.
        """
        return self.task if row.task is None else row.task

    def identity(self) -> dict[str, Any]:
        """Plain values that decide the weights; a folder of others is refused."""
        identity = {
            "task": dict(self.config.task),
            "data": data_fingerprint(self.task),
            "model": self.model.to_dict(),
        }
        identity |= self.source.identity(self.said)
        return json.loads(json.dumps(identity))
