"""A training that comes first in a study, and gives the weights to start from."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask
from ...training import Training, train
from .._faults import list_faults
from .._options import check_options
from .._task import build_task, data_fingerprint, task_words
from ._source import OnStep


class First(NamedTuple):
    """What the weights that a study starts from are trained on, and how.

    Args:
        task: What is learnt first.
        said: What the study says of that task.
        training: How it is learnt; one seed, from which all seeds of the study start.
    """

    task: AbstractTask
    said: Mapping[str, Any]
    training: Training

    def record(self) -> dict[str, Any]:
        """The part of a run's identity that decides the weights to start from."""
        fields = Training.__dataclass_fields__
        numbers = {name: getattr(self.training, name) for name in fields}
        numbers.pop("lora")
        return {
            "name": f"{self.said['name']}, {self.training.steps} steps",
            "task": dict(self.said),
            "data": data_fingerprint(self.task),
            "training": numbers,
        }

    def model(
        self, config: TransformerConfig, folder: str, on_step: OnStep
    ) -> Transformer:
        """The model that has learnt the first task; what is there is not done again.

        Args:
            config: The model.
            folder: Where this training keeps its files.
            on_step: Called with (step, loss) while there is training.

        Raises:
            TrainingDiverged: its loss was not finite.
            CheckpointError: a file is damaged.
        """
        (run,) = train(config, self.task, self.training, folder, on_progress=on_step)
        return run.load(run.steps[-1])


def build_first(options: Mapping[str, Any]) -> First:
    """The training that a study puts before its own, `start: {task: …, steps: …}`.

    Args:
        options: The task, and fields of `Training`. Only the last checkpoint is used,
            so by default it alone is kept, beside the one before any training.

    Raises:
        ValueError: the task or an option is wrong.
    """
    faults: list[str] = []
    where, numbers = "training.start", dict(options)
    said = task_words(numbers.pop("task", ""))
    for name in ("lora", "start", "seeds", "forward"):
        if name in numbers:
            faults.append(
                f"{where}.{name}: one model is trained first, with all of its weights; "
                "leave this out"
            )
    task = build_task(said, f"{where}.task", faults)
    checked, wrong = check_options(Training, numbers, where=where)
    if faults + wrong or task is None:
        raise ValueError(list_faults(where, faults + wrong))
    kept = {"every": checked.get("steps", Training().steps)}
    return First(task, said, Training(**(kept | checked)))
