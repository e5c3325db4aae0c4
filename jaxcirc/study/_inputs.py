"""What a row uses, loaded: models as it observes them, and what other rows found."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import PyTree

from .._core import device_memory, stack_trees, tree_bytes
from ..checkpoints import Trajectory
from ..tasks import AbstractTask
from ._config import Measurement
from ._measurements import AbstractMeasurement, Use, Used
from ._store import Place, Study
from ._uses import step_of, used_checkpoints


class UsedHasFailed(ValueError):
    """A row needs another's outcome, and there is none."""


class Inputs:
    """The inputs of one row.

    What does not change from step to step is loaded when this is made, and kept.

    Args:
        row: The row that uses them.
        wanted: The row's steps.
        others: Where the cells of the rows that it may use are, by id.
        shapes: What their artefacts are, by row and name, of one seed.
        trajectories: This run's, one per seed.
        study: The folder with outcomes; those that are used must be there.
        task: The study's task.
        key: The row's own key.

    Raises:
        UsedHasFailed: an outcome that is used is not there.
        CheckpointError: a checkpoint that is used is damaged.
        ValueError: what is used of all steps would not fit the memory.
    """

    def __init__(
        self,
        row: Measurement,
        wanted: Sequence[int],
        others: Mapping[str, Sequence[Place]],
        shapes: Mapping[str, Mapping[str, PyTree]],
        trajectories: Sequence[Trajectory],
        study: Study,
        task: AbstractTask,
        key: jax.Array,
    ):
        self._study, self._others, self._shapes = study, others, shapes
        self._seeds = len(trajectories)
        self._same = {
            name: use
            for name, use in row.uses.items()
            if use.at == "same" and others.get(use.of) not in (None, (None,))
        }
        self._fixed: dict[str, PyTree] = {}
        self.steps: dict[str, tuple[int, ...]] = {}
        for name, use in row.uses.items():
            if name in self._same:
                continue
            if use.is_model:
                where, steps = used_checkpoints(name, use, wanted, trajectories)
                many = use.at == "all"
                found = _observed(name, row.measure, where, steps, task, key, many=many)
                self.steps |= {name: steps} if many else {}
            else:
                places = self._places(use)
                found = self._outcome(use, places)
                if use.at == "all":
                    known = tuple(place for place in places if place is not None)
                    self.steps |= {name: known} if known else {}
            self._fixed[name] = found

    def at(self, step: int) -> dict[str, PyTree]:
        """The inputs at a step, by name.

        Arrays have a leading axis of seeds, and then one of steps where all are used.

        Args:
            step: The checkpoint that is measured.

        Raises:
            UsedHasFailed: an outcome of that step is not there.
        """
        own = {name: self._outcome(use, [step]) for name, use in self._same.items()}
        return self._fixed | own

    @property
    def fixed(self) -> dict[str, PyTree]:
        """The inputs that do not depend on a step, by name."""
        return self._fixed

    def _places(self, use: Use) -> list[Place]:
        """The places of another row's cells that a use names."""
        places = self._others[use.of]
        steps = [place for place in places if place is not None]
        if not steps:
            return [None]  # a row that runs once
        return list(steps) if use.at == "all" else [step_of(use, steps)]

    def _outcome(self, use: Use, places: Sequence[Place]) -> Used:
        """Another row's outcome, or its outcomes of all steps on a second axis."""
        found = [self._used(use.of, place) for place in places]
        if use.at != "all":
            return found[0]
        quantities, artefacts = jax.tree.map(
            lambda *xs: jnp.stack(xs, axis=1),
            *((one.quantities, one.artefacts) for one in found),
        )
        return Used(quantities, artefacts)

    def _used(self, row: str, place: Place) -> Used:
        """Another row's cell as arrays whose first axis counts seeds."""
        cell = self._cell(row, place)
        seedless = "seed" not in cell.dims

        def array(values: Any) -> jax.Array:
            whole = np.asarray(values)
            if seedless:
                # What was found once holds for every seed.
                whole = np.broadcast_to(whole, (self._seeds, *whole.shape))
            return jnp.asarray(whole)

        names = json.loads(cell.attrs.get("artefacts", "{}"))
        artefacts = {
            name: jax.tree.map(
                array, self._study.artefact(row, place, name, self._like(row, name))
            )
            for name in names
        }
        quantities = {str(k): array(v.values) for k, v in cell.data_vars.items()}
        return Used(quantities, artefacts)

    def _like(self, row: str, name: str) -> PyTree | None:
        """The shapes of another row's artefact, of all seeds; None if it says none."""
        like = self._shapes.get(row, {}).get(name)
        seeds = (self._seeds,)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((*seeds, *x.shape), x.dtype), like
        )

    def _cell(self, row: str, place: Place) -> xr.Dataset:
        """Another row's cell.

        Raises:
            UsedHasFailed: the row failed there, or has not been measured.
        """
        when = "" if place is None else f" at step {place}"
        cells = self._study.row(row)
        if place in cells.steps:
            cell = cells.read(place)
            if "failed" not in cell.attrs:
                return cell
            why = cell.attrs["failed"]
        elif place in cells.failed_steps:
            why = cells.read(place, failed=True).attrs["failed"]
        else:
            why = "it has not been measured"
        raise UsedHasFailed(f"it uses {row!r}, which failed{when}: {why}")


def _observed(
    name: str,
    measure: AbstractMeasurement,
    trajectories: Sequence[Trajectory],
    steps: Sequence[int],
    task: AbstractTask,
    key: jax.Array,
    *,
    many: bool,
) -> PyTree:
    """What the row keeps of models, for every seed; of many steps, on a second axis."""

    @eqx.filter_jit
    def observe(models, task, key):
        with jax.default_matmul_precision("highest"):
            return jax.lax.map(lambda m: measure.observe(m, task, key=key), models)

    found = []
    for models in zip(*(t.stream(steps) for t in trajectories), strict=True):
        found.append(observe(stack_trees([model for _, model in models]), task, key))
        # After the first its size is known, and the others have not been loaded.
        if len(found) == 1:
            _check_memory(name, tree_bytes(found[0]) * len(steps), len(steps))
    if not many:
        return found[0]
    return jax.tree.map(lambda *xs: jnp.stack(xs, axis=1), *found)


def _check_memory(name: str, needed: int, steps: int) -> None:
    """Refuse what is kept of all steps where it takes half of the device.

    Raises:
        ValueError: it does.
    """
    available = device_memory()
    # The other half is for the checkpoint at hand and what measuring it takes.
    if available is not None and needed > 0.5 * available:
        raise ValueError(
            f"{name} 'all': what is compared takes {needed / 1e9:.3g} GB at {steps} "
            f"steps, more than half of this device's {available / 1e9:.3g} GB. Take "
            "fewer `n_examples`, components or `steps`."
        )
