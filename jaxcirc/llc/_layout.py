"""Where chains run: one after the other, side by side, or on several devices."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from .._core import device_memory, unknown
from ._program import Layout

Strategy = str | Mapping[str, str]
STRATEGIES = ("auto", "map", "vmap")
# Chains of a CPU run side by side while all of them fit its cache; past that, one
# after the other is faster.
CACHE_BYTES = 1 << 22
# Share of a device's memory that a sweep may plan with.
SHARE = 0.8


class LLCMemoryError(MemoryError):
    """A single chain, or what all chains share, does not fit the device."""


def plan_layout(
    axes: Mapping[str, int],
    strategy: Strategy,
    mesh: Mesh | None,
    *,
    per_chain: int,
    fixed: Callable[[int], int],
    max_memory: int | None,
) -> Layout:
    """How to run chains over a product of axes.

    Args:
        axes: Name and length of every axis, `chain` last.
        strategy: `map`, `vmap` or `auto`, for all axes or by name.
        mesh: Devices to divide over; None for those of this process, as far as they
            divide evenly.
        per_chain: Bytes of a running chain.
        fixed: Devices -> bytes that each holds whatever runs.
        max_memory: Bytes per device to plan with; None for what it has.

    Raises:
        ValueError: the strategy is unknown, or the mesh does not divide the chains.
        LLCMemoryError: one chain does not fit.
    """
    total = int(np.prod(list(axes.values())))
    wanted = _lanes_wanted(axes, strategy, per_chain)
    mesh = _mesh(mesh, total)
    devices = 1 if mesh is None else mesh.size
    here, held = total // devices, fixed(devices)
    available = max_memory
    if available is None:
        memory = device_memory()
        available = None if memory is None else int(SHARE * memory)
        if available is not None and jax.default_backend() == "cpu":
            # Host devices share one memory.
            available //= devices
    room = here if available is None else (available - held) // max(per_chain, 1)
    if room < 1:
        raise LLCMemoryError(
            f"llc: one chain needs {per_chain / 1e9:.3g} GB beside the "
            f"{held / 1e9:.3g} GB that models, data and traces take; a device has "
            f"{(available or 0) / 1e9:.3g} GB to plan with. Lower `batch_size`, the "
            "number of checkpoints at once or the size of observables, or divide over "
            "more devices with `mesh`."
        )
    limit = min(wanted, room, here)
    # Lanes that divide the chains, so that no group has to be filled up.
    lanes = max(k for k in range(1, limit + 1) if here % k == 0)
    return Layout(lanes, mesh)


def _lanes_wanted(axes: Mapping[str, int], strategy: Strategy, per_chain: int) -> int:
    if isinstance(strategy, Mapping):
        for name, how in strategy.items():
            if name not in axes:
                raise ValueError(f"llc: {unknown('axis in `strategy`', name, axes)}")
            _check(how, ("map", "vmap"))
        return int(np.prod([axes[a] for a in axes if strategy.get(a) == "vmap"]))
    _check(strategy, STRATEGIES)
    total = int(np.prod(list(axes.values())))
    if strategy == "map":
        return 1
    if strategy == "auto" and jax.default_backend() == "cpu":
        return max(CACHE_BYTES // max(per_chain, 1), 1)
    return total


def _check(how: Any, allowed: tuple[str, ...]) -> None:
    if how not in allowed:
        raise ValueError(f"llc: {unknown('strategy', str(how), allowed)}")


def _mesh(mesh: Mesh | None, total: int) -> Mesh | None:
    if mesh is not None:
        if total % mesh.size:
            raise ValueError(
                f"llc: the mesh has {mesh.size} devices, which do not divide {total} "
                "chains evenly. Change `num_chains`, or give a mesh of fewer devices."
            )
        return mesh
    devices = jax.local_devices()
    n = max(k for k in range(1, len(devices) + 1) if total % k == 0)
    # Devices of other processes are used only where a mesh names them.
    if n == 1 or jax.process_count() > 1:
        return None
    return Mesh(np.array(devices[:n]), ("chain",))


def execution_order(axes: Mapping[str, int], strategy: Strategy) -> np.ndarray:
    """Places of cells in the order of execution: axes to `vmap` vary fastest.

    Args:
        axes: Name and length of every axis.
        strategy: `map`, `vmap` or `auto`, for all axes or by name.
    """
    every = np.arange(int(np.prod(list(axes.values())))).reshape(*axes.values())
    if not isinstance(strategy, Mapping):
        return every.reshape(-1)
    fast = [i for i, a in enumerate(axes) if strategy.get(a) == "vmap"]
    slow = [i for i in range(len(axes)) if i not in fast]
    return every.transpose(*slow, *fast).reshape(-1)
