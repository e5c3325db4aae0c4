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
        steps: Updates that the models have had, one number per checkpoint.
        models: The models; arrays have leading axes checkpoint and seed.
        inputs: What the row uses, as in a `Snapshot`, with the same leading axes.
    """

    steps: tuple[int, ...]
    models: Transformer
    inputs: Mapping[str, PyTree] = {}


class Used(NamedTuple):
    """What another row has found, as an input.

    Args:
        quantities: The row's numbers by name.
        artefacts: Its artefacts; each as the tree that its measurement says it is, or
            its arrays by their names in the pytree.
    """

    quantities: Mapping[str, PyTree]
    artefacts: Mapping[str, PyTree]


class AbstractMeasurement(eqx.Module):
    """What a study does to its checkpoints; each kind derives from one of four scopes.

    A measurement is a frozen module whose fields are its options. It is a pure
    function: the same checkpoint, task and key give the same numbers. The key is the
    same at every checkpoint, so that a curve shows the model changing and not the
    sample.

    A model in half precision is run as it is. Its gradients, curvature and sampling are
    taken of the same weights in float32: their small differences would be rounded away.
    """

    @property
    def uses(self) -> Mapping[str, Use]:
        """Checkpoints and runs that its options say it needs, by name."""
        return {}

    @property
    def takes(self) -> Mapping[str, str]:
        """Inputs that a study must name in the row's `uses:`, each with what it is."""
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
            config: The config of the study's models.
            task: The study's task.

        Raises:
            ValueError: what does not fit, and what would.
        """
        del config, task

    def artefacts(self, config: TransformerConfig) -> Mapping[str, PyTree]:
        """Shapes of the artefacts that other rows are to get as the trees they were.

        An artefact is a file of arrays. One that is named here comes back with its own
        classes and with what they know besides arrays; any other as a dict of arrays.

        Args:
            config: The config of the study's models.

        Returns:
            Name of an artefact -> a tree of arrays or shapes, of one seed.
        """
        del config
        return {}

    def observe(
        self, model: Transformer, task: AbstractTask, *, key: Key[Array, ""]
    ) -> PyTree:
        """What the row keeps of a model that it uses; all of it, unless overridden.

        Args:
            model: A checkpoint that `uses` names.
            task: The study's task.
            key: The row's own key.
        """
        del task, key
        return model

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Labels of the axes that are not simply numbered, by axis.

        Args:
            config: The config of the study's models.
            task: The study's task.
            key: The row's own key.
        """
        del config, task, key
        return {}


class PerCheckpoint(AbstractMeasurement):
    """A function of one checkpoint, which the runner compiles once for all of them.

    It is mapped over seeds and checkpoints, so it sees one model without leading axes
    and must be traceable: no value of an array may decide which code runs.

    Example:
        A row of 3 and 4 has the length 5.

        >>> import equinox as eqx, jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc.models import Transformer, TransformerConfig
        >>> from jaxcirc.study import Outcome, PerCheckpoint, Quantity, Snapshot
        >>> class EmbeddingNorm(PerCheckpoint):
        ...     def __call__(self, snapshot, task, *, key):
        ...         lengths = jnp.linalg.norm(snapshot.model.W_E, axis=-1)
        ...         length = Quantity(lengths.mean(), (), "", "of an embedding")
        ...         return Outcome({"length": length})
        >>> config = TransformerConfig(
        ...     d_vocab=3, n_ctx=4, n_layers=1, d_model=2, n_heads=1, norm="none"
        ... )
        >>> model = Transformer(config, key=jr.key(0))
        >>> rows = jnp.array([[3.0, 4.0]] * 3)
        >>> model = eqx.tree_at(lambda m: m.W_E, model, rows)
        >>> shot = Snapshot(jnp.array(0), model, model, jnp.array(False))
        >>> found = EmbeddingNorm()(shot, None, key=jr.key(1))
        >>> float(found.quantities["length"].values)
        5.0
    """

    @abc.abstractmethod
    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """The numbers of one model.

        Args:
            snapshot: The checkpoint.
            task: The study's task.
            key: The same at every checkpoint.
        """


class PerChunk(AbstractMeasurement):
    """A program of its own over several checkpoints and all seeds at once.

    It is for what brings its own compilation, sharding and memory, as sampling does:
    the runner calls it as plain Python, with as many checkpoints as it takes at a time.
    """

    @abc.abstractmethod
    def __call__(
        self, chunk: Chunk, task: AbstractTask, *, key: Key[Array, ""]
    ) -> Outcome:
        """The numbers of all models, in arrays with leading axes checkpoint and seed.

        Args:
            chunk: The checkpoints.
            task: The study's task.
            key: The same for every chunk; numbers must not depend on what is measured
                together.
        """


class AlongRun(AbstractMeasurement):
    """A function that keeps a state from checkpoint to checkpoint, in order of steps.

    The state is saved with every step, so that a run that was stopped goes on with it,
    and a cell counts as out of date when an earlier checkpoint has changed.
    """

    @abc.abstractmethod
    def init(
        self, model: Transformer, task: AbstractTask, *, key: Key[Array, ""]
    ) -> PyTree:
        """The state before the first checkpoint that is measured.

        Args:
            model: That checkpoint.
            task: The study's task.
            key: The row's own key.
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
        """The next state, and the numbers of one model.

        Args:
            state: The state that this or `init` has given; arrays of fixed shapes.
            snapshot: The checkpoint.
            task: The study's task.
            key: The same at every checkpoint; fold `snapshot.step` in for noise that
                differs.
        """


class Once(AbstractMeasurement):
    """A function of the task, or of what other rows have found; no step, no seed.

    It runs as plain Python after all rows that it uses, and its results have neither of
    the two axes: how well a known solution does, or when curves change together.
    """

    @abc.abstractmethod
    def __call__(
        self,
        task: AbstractTask,
        inputs: Mapping[str, PyTree],
        *,
        key: Key[Array, ""],
    ) -> Outcome:
        """The numbers, in arrays without any leading axis.

        Args:
            task: The study's task.
            inputs: What the row uses. Arrays have a leading axis of seeds; where all
                steps are used, one of steps after it.
            key: The row's own key.
        """


SCOPES = (PerCheckpoint, PerChunk, AlongRun, Once)


class MeasurementSpec(NamedTuple):
    """A row of the measurement catalogue.

    The keyword parameters of `build` are the options that a study may give; their
    names, types and defaults are read off its signature.

    Args:
        name: The name that a study calls it by.
        summary: One line for `jaxcirc list`.
        build: Keyword options -> measurement.
        tiny: Options that make it quick, for tests.
        tiny_study: Overrides of the tests' tiny study, where the measurement takes only
            some models or tasks: `("model.family=gpt2",)`.
    """

    name: str
    summary: str
    build: Callable[..., AbstractMeasurement]
    tiny: Mapping[str, Any]
    tiny_study: tuple[str, ...] = ()
