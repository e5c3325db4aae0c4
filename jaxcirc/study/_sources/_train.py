"""Checkpoints that the study trains itself."""

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import equinox as eqx
import jax.random as jr

from ..._core import tree_bytes
from ...adapters import LoRA
from ...checkpoints import Trajectory, open_trajectory
from ...models import Transformer, TransformerConfig
from ...objectives import CrossEntropy
from ...tasks import AbstractTask
from ...taylor import FrozenAttention, Through, linearised
from ...training import Training, TrainingDiverged, train, training_memory
from ._first import First, build_first
from ._source import AbstractSource, Cost, OnStep, SourceSpec
from ._start import Start, find_start

# What gives the logits that are trained on: the model, its linearisation at the start,
# or its weights under the start's attention patterns.
Forward = Literal["full", "linearised", "frozen_attention"]


class Train(AbstractSource):
    """Training from fresh weights, or from those of a checkpoint.

    Args:
        training: The numbers of the training.
        start: The weights that every seed starts from; fresh ones if None.
        first: A training that gives those weights, where it is part of the study.
        forward: What makes logits of the weights while they train.
    """

    def __init__(
        self,
        training: Training,
        start: Start | None = None,
        first: First | None = None,
        forward: Forward = "full",
    ):
        self.training, self.start, self.first = training, start, first
        self.forward: Forward = forward

    @property
    def is_own(self) -> bool:
        """True: a broken checkpoint can be made again."""
        return True

    @property
    def seed(self) -> int:
        """The number of the first seed."""
        return self.training.seed

    @property
    def seeds(self) -> int:
        """The number of models that are trained at once."""
        return self.training.seeds

    @property
    def checkpoint_steps(self) -> tuple[int, ...]:
        """Steps whose model is kept."""
        return self.training.checkpoint_steps

    @property
    def copies(self) -> int:
        """Four: the weights, their gradients and the two moments of Adam."""
        return 4

    @property
    def steps(self) -> int:
        """Updates to make, those of what is learnt first included."""
        first = 0 if self.first is None else self.first.training.steps
        return first + self.training.steps

    def identity(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Every number of the training, and the hash of what it starts from."""
        del said
        fields = Training.__dataclass_fields__
        numbers = {k: getattr(self.training, k) for k in fields}
        adapter = numbers.pop("lora")
        if adapter is not None:
            # Not named where there is none, as it is not in runs of earlier versions.
            numbers["lora"] = adapter.to_dict()
        identity: dict[str, Any] = {"training": numbers}
        if self.start is not None:
            identity["start"] = self.start.record()
        if self.first is not None:
            identity["start"] = self.first.record()
        if self.forward != "full":
            identity["forward"] = self.forward
        return identity

    @property
    def model(self) -> TransformerConfig | None:
        """The config of the weights to start from; None if they are fresh."""
        return None if self.start is None else self.start.config

    @property
    def tasks(self) -> tuple[AbstractTask, ...]:
        """What is learnt first, if anything is."""
        return () if self.first is None else (self.first.task,)

    @property
    def name(self) -> str:
        """The name of the weights to start from; empty if they are fresh."""
        return "" if self.start is None else self.start.name

    def trajectories(
        self, model: TransformerConfig, task: AbstractTask, folder: str, on_step: OnStep
    ) -> tuple[Sequence[Trajectory], TrainingDiverged | None]:
        """Train, or go on; if that diverges, what came before and the error."""
        # If this diverges there is nothing to measure, and it is raised.
        start = self._start(model, folder, on_step)
        try:
            first = self.steps - self.training.steps
            told = lambda step, loss: on_step(first + step, loss)
            options: dict[str, Any] = {"start": start, "on_progress": told}
            if start is not None and self.forward != "full":
                options["objective"] = _through(self.forward, start)
            return train(model, task, self.training, folder, **options), None
        except TrainingDiverged as error:
            seeds = range(self.seed, self.seed + self.seeds)
            folders = [posixpath.join(folder, f"seed_{seed}") for seed in seeds]
            return [open_trajectory(path) for path in folders], error

    def _start(
        self, model: TransformerConfig, folder: str, on_step: OnStep
    ) -> Transformer | None:
        """The weights to start from, which may have to be trained first."""
        if self.first is not None:
            return self.first.model(model, posixpath.join(folder, "first"), on_step)
        return None if self.start is None else self.start.load()

    def cost(self, model: TransformerConfig, task: AbstractTask) -> Cost:
        """Bytes of files, and of memory as the compiler counts it."""
        shapes = eqx.filter_eval_shape(Transformer, model, key=jr.key(0))
        # The state holds the weights and, for Adam, two moments of each.
        kept = (len(self.checkpoint_steps) + 3) * self.seeds
        if self.first is not None:
            kept += len(self.first.training.checkpoint_steps) + 3
        return Cost(
            steps=self.steps,
            disk_bytes=tree_bytes(shapes) * kept,
            memory_bytes=training_memory(model, task, self.training),
        )


def _through(forward: Forward, start: Transformer) -> Through:
    """The loss of another forward pass than the model's own."""
    made = {"linearised": linearised, "frozen_attention": FrozenAttention}
    return Through(CrossEntropy(), made[forward](start))


class TrainOptions(Training):
    """What a study says in `training:`; the fields of `Training`, and a start.

    Args:
        start: Weights that every seed starts from; fresh ones if None. A run's folder
            with `@STEP`, or its last step without; a folder of weights; or an id of the
            HuggingFace hub, with `@REVISION` if it is not the main one. Or a mapping, a
            training that comes first: its `task` and fields of `Training`.
        lora: Options of a low-rank adapter that is trained in place of the weights:
            its `rank`, `scale` and `over`.
        forward: What makes logits of the weights while they train: the model itself
            (`full`), its `linearised` form at the start, or the weights under the
            start's attention patterns (`frozen_attention`). Checkpoints are weights
            either way: the loss that was trained on is order 1 of the row `taylor`, or
            what the row `decompose` calls OV, both with the first as reference.
    """

    start: str | Mapping[str, Any] | None = None
    lora: Mapping[str, Any] | None = None  # pyright: ignore
    forward: Forward = "full"


def build_train(
    start: str | Mapping[str, Any] | None = None,
    lora: Mapping[str, Any] | None = None,
    forward: Forward = "full",
    **options: Any,
) -> Train:
    """Training, from the options of `TrainOptions`.

    Args:
        start: Weights that every seed starts from, or how they are trained; fresh ones
            if None.
        lora: Options of an adapter that is trained in their place.
        forward: What makes logits of the weights while they train.
        **options: Fields of `Training`.

    Raises:
        ValueError: a number is out of range, or there are no such weights.
    """
    adapter = None if lora is None else LoRA.from_dict(lora)
    training = Training(lora=adapter, **options)
    if forward != "full" and start is None:
        others = " or ".join(get_args(Forward)[1:])
        raise ValueError(
            f"training.forward: {others} is of the weights to start from; give `start`."
        )
    if isinstance(start, Mapping):
        return Train(training, first=build_first(start), forward=forward)
    found = None if start is None else find_start(start)
    return Train(training, found, forward=forward)


SPEC = SourceSpec(
    section="training",
    summary="train a model, from fresh weights or from a checkpoint",
    trains=True,
    options=lambda: TrainOptions,
    build=build_train,
)
