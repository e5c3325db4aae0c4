"""What measurements are: pure functions in four scopes, and a row for each.

| scope | it sees | who compiles it |
|---|---|---|
| `PerCheckpoint` | one model of one seed | the runner, for all of them |
| `PerChunk` | several checkpoints of every seed | itself |
| `AlongRun` | one model after the other, and what it has kept | the runner |
| `Once` | the task, and what it uses | itself |
"""

import abc
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Bool, Int, Key, PyTree

from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask
from ._quantity import Outcome
from ._use import Use


class Snapshot(NamedTuple):
    """One checkpoint of one seed, as a measurement sees it.

    Args:
        step: Updates that the model has had.
        model: The checkpoint.
        previous: The checkpoint before it in the trajectory. Where there is none, or
            no row looks back, this is the checkpoint itself.
        has_previous: Whether there is one before.
        inputs: What the row uses, by the names that it gives to them: what it has kept
            of a model (see `AbstractMeasurement.observe`), or a `Used` of another row.
    """

    step: Int[Array, ""]
    model: Transformer
    previous: Transformer
    has_previous: Bool[Array, ""]
    inputs: Mapping[str, PyTree] = {}


class Chunk(NamedTuple):
    """Several checkpoints of every seed, as a measurement sees them.

    Args:
        steps: Updates that the models have had, one per checkpoint.
        models: Arrays have leading axes checkpoint and seed.
        inputs: As of a `Snapshot`, with the same leading axes.
    """

    steps: tuple[int, ...]
    models: Transformer
    inputs: Mapping[str, PyTree] = {}


class Used(NamedTuple):
    """What another row has found, as an input.

    Args:
        quantities: Its numbers by name.
        artefacts: Its artefacts; the arrays of each by their names in the pytree.
    """

    quantities: Mapping[str, PyTree]
    artefacts: Mapping[str, Mapping[str, PyTree]]


class AbstractMeasurement(eqx.Module):
    """What a study does to its checkpoints; each kind derives from one of four scopes.

    The key is the same at every checkpoint, so that a curve shows the model changing
    and not the sample.

    A model in half precision is run as it is. Its gradients, curvature and sampling are
    taken of the same weights in float32: their small differences would be rounded away.
    """

    @property
    def uses(self) -> Mapping[str, Use]:
        """What its options say that it needs of other checkpoints or runs, by name."""
        return {}

    @property
    def takes(self) -> Mapping[str, str]:
        """What a study must name in the row's `uses:`; name -> what it is."""
        return {}

    @property
    def needs_previous(self) -> bool:
        """Whether it looks at the checkpoint before, which is otherwise not kept.

        It then says `since_previous` of the quantities that compare with it.
        """
        return False

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a model or task that cannot be measured, before any work.

        Args:
            config: Of the models.
            task: Of the study.

        Raises:
            ValueError: what does not fit, and what would.
        """
        del config, task

    def observe(
        self, model: Transformer, task: AbstractTask, *, key: Key[Array, ""]
    ) -> PyTree:
        """What is kept of a model that the row uses; all of it, unless overridden.

        Args:
            model: A checkpoint that `uses` names.
            task: Of the study.
            key: The row's own.
        """
        del task, key
        return model

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Labels of the axes that are not simply numbered.

        Args:
            config: Of the models.
            task: Of the study.
            key: The row's own.
        """
        del config, task, key
        return {}


class PerCheckpoint(AbstractMeasurement):
    """A function of one checkpoint, which the runner compiles once for all of them."""

    @abc.abstractmethod
    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """What is found of one model.

        Args:
            snapshot: The checkpoint.
            task: Of the study.
            key: The same at every checkpoint.
        """


class PerChunk(AbstractMeasurement):
    """A program of its own over several checkpoints and all seeds at once.

    For what brings its own compilation, sharding and memory, as sampling does.
    """

    @abc.abstractmethod
    def __call__(
        self, chunk: Chunk, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """What is found, in arrays with leading axes checkpoint and seed.

        Args:
            chunk: The checkpoints.
            task: Of the study.
            key: The same for every chunk; numbers must not depend on what is measured
                together.
        """


class AlongRun(AbstractMeasurement):
    """A function that keeps a state from checkpoint to checkpoint, in order of steps.

    The state is saved with every step, so that a run that was stopped goes on with it.
    """

    @abc.abstractmethod
    def init(
        self, model: Transformer, task: AbstractTask, *, key: Key[Array, ""]
    ) -> PyTree:
        """The state before the first checkpoint that is measured.

        Args:
            model: That checkpoint.
            task: Of the study.
            key: The row's own.
        """

    @abc.abstractmethod
    def step(
        self,
        state: PyTree,
        snapshot: Snapshot,
        task: AbstractTask,
        *,
        key: Key[Array, ""],
    ) -> tuple[PyTree, Outcome]:
        """The next state, and what is found of one model.

        Args:
            state: What this or `init` has given; arrays of fixed shapes.
            snapshot: The checkpoint.
            task: Of the study.
            key: The same at every checkpoint; fold `snapshot.step` in for noise that
                differs.
        """


class Once(AbstractMeasurement):
    """Something of the task, or of what other rows have found; no step, no seed."""

    @abc.abstractmethod
    def __call__(
        self,
        task: AbstractTask,
        inputs: Mapping[str, PyTree],
        *,
        key: Key[Array, ""],
    ) -> Outcome:
        """What is found, in arrays without any leading axis.

        Args:
            task: Of the study.
            inputs: What the row uses. Arrays have a leading axis of seeds; where all
                steps are used, one of steps after it.
            key: The row's own.
        """


SCOPES = (PerCheckpoint, PerChunk, AlongRun, Once)


class MeasurementSpec(NamedTuple):
    """A row of the measurement catalogue.

    Args:
        name: What a study calls it.
        summary: One line for `jaxcirc list`.
        build: Keyword options -> measurement.
        tiny: Options that make it quick, for tests.
    """

    name: str
    summary: str
    build: Callable[..., AbstractMeasurement]
    tiny: Mapping[str, Any]
