"""What a measurement is: a pure function of a snapshot, a task and a key."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PyTree

from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask

# A step, `first`, `last`, `previous`, `all` (every measured step), `layers` (those of
# the same checkpoint), or another run: `runs/NAME`, `runs/NAME@STEP`.
Reference = int | str | None
# References that need no other checkpoint than those of a snapshot.
AT_HAND = (None, "previous", "layers")
# What a quantity is for: a result over training, whose changes mean something; numbers
# too many to list, such as single draws; or what judges and explains other results.
Role = Literal["series", "detail", "diagnostic"]


class Snapshot(NamedTuple):
    """One checkpoint as a measurement sees it.

    `previous` is the checkpoint before it in the trajectory and `gap` the steps between
    them; the first checkpoint is its own previous, with a gap of 0, and so is every one
    where no measurement needs it. `target` is what the measurement has observed at its
    reference, if it has one.
    """

    model: Transformer
    previous: Transformer
    gap: Int[Array, ""]
    target: PyTree = None


def _reported(values: Array | np.ndarray) -> Array | np.ndarray:
    """Half precision as float32, which files and readers of results know."""
    # Also called with what stands for an array while a program is traced.
    is_real = hasattr(values, "dtype") and jnp.issubdtype(values.dtype, jnp.floating)
    narrow = is_real and values.dtype.itemsize < 4
    return values.astype(jnp.float32) if narrow else values


class Quantity(eqx.Module):
    """A measured array with the names of its axes, its units and what it means.

    `chance` is its value for a model that knows nothing, where that is defined. `role`
    says who reads it: a `series` is looked through for changes, drawn and listed; a
    `diagnostic` is only listed; a `detail` is only drawn, by a panel of its own. Real
    values are reported in float32 or wider, whatever the model's type.
    """

    values: Array | np.ndarray = eqx.field(converter=_reported)
    dims: tuple[str, ...] = eqx.field(static=True)
    units: str = eqx.field(static=True)
    meaning: str = eqx.field(static=True)
    chance: float | None = eqx.field(static=True, default=None)
    role: Role = eqx.field(static=True, default="series")


class AbstractMeasurement(eqx.Module):
    """What a study does to every checkpoint.

    Jitted and vmapped by the runner: once per study, for every checkpoint and seed.

    The key is the same at every checkpoint, so that a curve shows the model changing
    and not the sample.

    A model in half precision is run as it is. Its gradients, curvature and sampling are
    taken of the same weights in float32: their small differences would be rounded away.
    """

    @property
    def batched(self) -> bool:
        """Whether it runs whole programs of its own.

        It then gets the snapshot of one step with all seeds stacked, outside `jit`, and
        returns NumPy arrays with a leading seed axis.
        """
        return False

    @property
    def needs_previous(self) -> bool:
        """Whether it looks at `Snapshot.previous`, which is otherwise not kept."""
        return False

    @property
    def reference(self) -> Reference:
        """What checkpoints are compared with; see `Reference`."""
        return None

    def observe(
        self, model: Transformer, task: AbstractTask, *, key: Key[Array, ""]
    ) -> PyTree:
        """What of a checkpoint is compared; the runner keeps that of the reference."""
        raise NotImplementedError

    def failure(self, measured: Mapping[str, "Quantity"]) -> str | None:
        """Why what was measured cannot be used, if it cannot."""
        del measured

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse a model or task that cannot be measured, before any work.

        Raises:
            ValueError: what does not fit, and what would.
        """
        del config, task

    def __call__(
        self, snapshot: Snapshot, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, Quantity]:
        """The quantities by name."""
        raise NotImplementedError

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Labels of the axes that are not simply numbered."""
        del config, task, key
        return {}


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
