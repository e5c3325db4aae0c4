"""Many chains as one compiled program, laid out over loop, lanes and devices."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, Key, PyTree

from ._chain import Observables, Schedule, Trace, sample_chain
from ._problem import Problem
from ._sampler import AbstractSampler


class Cells(NamedTuple):
    """Chains to run; every array has one leading axis.

    Args:
        checkpoint: Which model each starts from.
        mask: Which mask it samples under.
        numbers: The numbers of its sampler.
        key: Key of each chain.
    """

    checkpoint: Int[Array, " cell"]
    mask: Int[Array, " cell"]
    numbers: dict[str, Array]
    key: Key[Array, " cell"]


class Layout(NamedTuple):
    """How cells are executed.

    Args:
        lanes: Chains that run side by side on one device (`vmap`); the groups of lanes
            run one after the other (`lax.map`).
        mesh: Devices to divide the cells over, or None for one.
    """

    lanes: int
    mesh: Mesh | None = None

    @property
    def devices(self) -> int:
        """Devices that share the cells."""
        return 1 if self.mesh is None else self.mesh.size


@eqx.filter_jit
def sample_cells(
    problem: Problem,
    sampler: AbstractSampler,
    models: PyTree,
    masks: PyTree | None,
    baselines: Array | None,
    slopes: PyTree,
    cells: Cells,
    observables: Observables,
    schedule: Schedule,
    layout: Layout,
) -> Trace:
    """The traces of all cells, with a leading `cell` axis.

    Args:
        problem: Loss and data.
        sampler: Its numbers are replaced by those of the cells.
        models: Every array with a leading `checkpoint` axis.
        masks: Every array with a leading `mask` axis; None to sample everything.
        baselines: Losses at w*, by checkpoint.
        slopes: Gradients of the mean loss at w*, by checkpoint.
        cells: What to run; the number of groups of lanes divides evenly over devices.
        observables: Functions of the weights to evaluate at every draw.
        schedule: How many steps and draws a chain has.
        layout: How cells are divided over lanes and devices.
    """
    arrays, static = eqx.partition(models, eqx.is_array)

    # What all cells share is an argument, since a shard may not close over arrays.
    def one(shared: Any, cell: Cells) -> Trace:
        problem, sampler, arrays, masks, baselines, slopes, observables = shared
        here, slope = jax.tree.map(lambda x: x[cell.checkpoint], (arrays, slopes))
        mask = None if masks is None else jax.tree.map(lambda x: x[cell.mask], masks)
        return sample_chain(
            problem,
            sampler.with_numbers(**cell.numbers),
            eqx.combine(here, static),
            mask,
            None if baselines is None else baselines[cell.checkpoint],
            slope,
            observables,
            schedule,
            key=cell.key,
        )

    def on_one_device(shared: Any, cells: Cells) -> Trace:
        if layout.lanes == 1:
            return jax.lax.map(lambda cell: one(shared, cell), cells)
        groups = jax.tree.map(
            lambda x: x.reshape(-1, layout.lanes, *x.shape[1:]), cells
        )
        lanes = jax.vmap(lambda cell: one(shared, cell))
        traces = jax.lax.map(lanes, groups)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), traces)

    # The sampler's numbers come with the cell, but a preconditioner has arrays.
    shared = (problem, sampler, arrays, masks, baselines, slopes, observables)
    if layout.mesh is None:
        return on_one_device(shared, cells)
    shared, fixed = eqx.partition(shared, eqx.is_array)
    along = PartitionSpec(layout.mesh.axis_names)
    return jax.shard_map(
        lambda shared, cells: on_one_device(eqx.combine(shared, fixed), cells),
        mesh=layout.mesh,
        in_specs=(PartitionSpec(), along),
        out_specs=along,
        check_vma=False,
    )(shared, cells)


def place(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Arrays that every process holds alike, as arrays of a mesh of many processes.

    Args:
        tree: A pytree; whatever is no array in it is left as it is.
        mesh: The devices; a mesh of one process alone, or None, changes nothing.
    """
    if mesh is None or not _spans_processes(mesh):
        return tree
    everywhere = NamedSharding(mesh, PartitionSpec())

    def leaf(x: Any) -> Any:
        if not eqx.is_array(x):
            return x
        # A key travels as its words, since arrays of many processes are made of
        # numbers.
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            words = leaf(jr.key_data(x))
            return jax.jit(lambda w: jr.wrap_key_data(w, impl=jr.key_impl(x)))(words)
        whole = np.asarray(x)
        return jax.make_array_from_callback(
            whole.shape, everywhere, lambda index: whole[index]
        )

    return jax.tree.map(leaf, tree)


def fetch(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """Results as NumPy arrays, whole in every process.

    Args:
        tree: A pytree of arrays.
        mesh: The devices that they lie on; None for one.
    """
    if mesh is None or not _spans_processes(mesh):
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def _spans_processes(mesh: Mesh) -> bool:
    return any(d.process_index != jax.process_index() for d in mesh.devices.flat)
