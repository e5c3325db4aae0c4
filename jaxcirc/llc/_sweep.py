"""LLCs over any product of checkpoints, sampler settings, masks and seeds."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key, PyTree

from .._core import Objective, unknown
from ._baseline import Centers, at_centers
from ._chain import Schedule, Trace
from ._job import Baseline, Job, make_job
from ._layout import Strategy, execution_order, plan_layout
from ._program import fetch, place, sample_cells
from ._result import LLCEstimate, require_converged, summarize
from ._sampler import AbstractSampler
from ._slope import center_gradients
from ._status import Status

if TYPE_CHECKING:
    import xarray


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Sweep:
    """Estimates over labelled axes.

    `values`, `standard_errors` and `statuses` are arrays with one axis for each of
    `axes`; `sel` takes a part by its labels, and `to_xarray` everything with names.

    Attributes:
        axes: Labels of every axis, in order; without axes there is one estimate.
        estimates: An object array of `LLCEstimate`, one axis for each.
    """

    axes: Mapping[str, Sequence[Any]]
    estimates: np.ndarray

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {len(at)}" for name, at in self.axes.items())
        counts = {s: int((self.statuses == s).sum()) for s in Status}
        found = ", ".join(f"{n} {s}" for s, n in counts.items() if n)
        return f"Sweep({sizes}; {found})"

    @property
    def values(self) -> Float[np.ndarray, "..."]:
        """λ̂ at every place; NaN where every chain diverged."""
        return self._each(lambda e: e.value, float)

    @property
    def standard_errors(self) -> Float[np.ndarray, "..."]:
        """Standard error at every place."""
        return self._each(lambda e: e.standard_error, float)

    @property
    def statuses(self) -> np.ndarray:
        """Status at every place."""
        return self._each(lambda e: e.status, object)

    def sel(self, **labels: Any) -> "Sweep | LLCEstimate":
        """The part with some labels, such as `sel(checkpoint=1000, step_size=1e-4)`.

        Args:
            **labels: One label of an axis each, exactly as it is in `axes`.

        Returns:
            A sweep over the axes that are left, or the estimate where none is.

        Raises:
            ValueError: there is no such axis or label.
        """
        axes, estimates = dict(self.axes), self.estimates
        for name, label in labels.items():
            if name not in axes:
                raise ValueError(f"Sweep.sel: {unknown('axis', name, axes)}")
            places = [i for i, at in enumerate(axes[name]) if at == label]
            if not places:
                raise ValueError(
                    f"Sweep.sel: {name} has no label {label!r}; it has "
                    f"{', '.join(map(str, axes[name]))}."
                )
            estimates = np.take(estimates, places[0], axis=list(axes).index(name))
            del axes[name]
        # Without an axis left, NumPy hands out the object itself.
        return Sweep(axes, estimates) if axes else estimates  # pyright: ignore

    def to_xarray(self) -> "xarray.Dataset":
        """Values, errors, diagnostics and traces, with the sweep's axes by name."""
        import xarray as xr

        dims = tuple(self.axes)
        numbers = ("value", "standard_error", "heating", "drop", "rhat", "ess")
        numbers += ("initial_loss", "n_beta")
        variables: dict[str, Any] = {
            name: (dims, self._each(lambda e, n=name: getattr(e, n), float))
            for name in numbers
            if name not in self.axes
        }
        variables["status"] = (dims, self._each(lambda e: str(e.status), object))
        for name in ("trace", "loss"):
            first = getattr(self.estimates.flat[0], name)
            whole = np.stack([getattr(e, name) for e in self.estimates.flat])
            shape = (*self.estimates.shape, *first.shape)
            variables[name] = ((*dims, "chain", "draw"), whole.reshape(shape))
        return xr.Dataset(variables, {name: list(at) for name, at in self.axes.items()})

    def _each(self, of: Callable[[LLCEstimate], Any], dtype: type) -> np.ndarray:
        flat = [of(e) for e in self.estimates.flat]
        return np.array(flat, dtype).reshape(self.estimates.shape)


def sweep(
    loss_fn: Objective,
    params: PyTree,
    data: PyTree,
    sampler: AbstractSampler,
    *,
    steps: Sequence[int] | None = None,
    noise: Sequence[int] | None = None,
    grid: Mapping[str, Sequence[float]] | None = None,
    masks: Mapping[str, PyTree] | None = None,
    seeds: Sequence[int] | None = None,
    num_chains: int = 8,
    num_draws: int = 500,
    num_burnin: int = 500,
    steps_between_draws: int = 1,
    batch_size: int | None = None,
    initial_loss: Baseline = "paired",
    trivial_loss: float | None = None,
    observables: Mapping[str, Any] | None = None,
    test_acceptance: bool = False,
    mesh: Mesh | None = None,
    strategy: Strategy = "auto",
    max_memory: int | None = None,
    throw: bool = False,
    key: Key[Array, ""],
) -> Sweep:
    """Local learning coefficients over a product of axes, as one compiled program.

    Axes appear in the result in the order checkpoint, grid, mask, seed; those that are
    not given do not. A chain's key is folded from its checkpoint's step, its seed and
    its number, so its numbers do not depend on what else is in the sweep, nor on
    strategy, chunks or devices, up to rounding; settings and masks share them, so their
    differences are known better than either.

    Args:
        loss_fn: (weights, examples) -> the loss of each example: an objective, such as
            `objectives.CrossEntropy()`, or any function.
        params: Weights w*: any pytree whose floating arrays are to be sampled. With
            `steps`, every array has a leading checkpoint axis (`stack_models`).
        data: Examples, a pytree with a leading example axis; or a function from a key
            to examples, for a loss over a population.
        sampler: How to sample, and at which `n_beta` and `gamma`.
        steps: Training steps of the checkpoints.
        noise: Numbers that keys are folded from in place of `steps`, one for each:
            checkpoints with equal ones get equal noise, so that a curve over them shows
            the model changing and not the sample.
        grid: Numbers of the sampler to vary, such as
            `{"step_size": [1e-5, 1e-4], "n_beta": [10.0, 100.0]}`.
        masks: Which coordinates to sample, by name; see `estimate`.
        seeds: Repeats of everything.
        num_chains: Chains at every place.
        num_draws: Draws of each chain.
        num_burnin: Steps before the first draw.
        steps_between_draws: Steps to a draw, which is their mean.
        batch_size: Examples per step; None for all.
        initial_loss: L(w*) on the examples of each draw (`paired`), on all data
            (`full`), or a number, such as 0.0 for a model known to be perfect.
        trivial_loss: Loss of a model that knows nothing: chains that reach it are not
            local.
        observables: What to evaluate at every draw: functions of the weights, or other
            data, which give their losses example by example.
        test_acceptance: Ask at every draw how many Langevin proposals a Metropolis test
            would accept there.
        mesh: Devices to divide the chains over; None for those of this process.
        strategy: `map` (one chain after the other), `vmap` (side by side), or either by
            axis, such as `{"checkpoint": "map", "chain": "vmap"}`; `auto` is what is
            fastest on the backend and fits its memory.
        max_memory: Bytes of a device to plan with; None for what it has.
        throw: Raise if any place is not `converged`.
        key: Key that every chain folds its own from.

    Returns:
        An estimate at every place.

    Raises:
        ValueError: an argument does not fit; before anything runs.
        LLCMemoryError: one chain does not fit the device; the message has the numbers.
        LLCError: an estimate is not `converged`, if `throw`.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import llc
        >>> found = llc.sweep(
        ...     lambda w, x: (w * x) ** 2, jnp.array(0.0), jnp.ones(9), llc.SGLD(1e-3),
        ...     grid={"n_beta": [10.0, 100.0]}, seeds=[0, 1, 2], num_chains=1,
        ...     num_draws=4, num_burnin=0, key=jr.key(0),
        ... )
        >>> found.axes
        {'n_beta': [10.0, 100.0], 'seed': [0, 1, 2]}
        >>> found.values.shape, found.sel(n_beta=10.0, seed=2).trace.shape
        ((2, 3), (1, 4))
    """
    if not isinstance(key, jax.Array):
        raise ValueError(
            f"llc: `key` must be a random key; got {key!r}. Make one of a number with "
            "`jax.random.key(0)`."
        )
    schedule = Schedule(num_draws, num_burnin, steps_between_draws, test_acceptance)
    job = make_job(
        loss_fn,
        params,
        data,
        sampler,
        steps=steps,
        noise=noise,
        grid=grid,
        masks=masks,
        seeds=seeds,
        num_chains=num_chains,
        schedule=schedule,
        batch_size=batch_size,
        observables=observables,
    )
    # Before any loss is evaluated, so that what does not fit is refused first.
    layout = plan_layout(
        job.lengths,
        strategy,
        mesh,
        per_chain=job.chain_bytes,
        fixed=job.fixed_bytes,
        max_memory=max_memory,
    )
    centers, slopes = at_centers(job, initial_loss), center_gradients(job)
    cells = job.cells(key)
    # Chains that share a `vmap` lie side by side while they run, and go back after.
    order = execution_order(job.lengths, strategy)
    cells = jax.tree.map(lambda x: x[order], cells)
    # Numbers come with the cells, so that other values compile nothing again.
    sampler = job.sampler.without_numbers()
    known = (centers.baselines, slopes)
    inputs = (job.problem, sampler, job.models, job.masks, *known, cells)
    placed = place((*inputs, job.observables), layout.mesh)
    trace = fetch(sample_cells(*placed, schedule, layout), layout.mesh)  # pyright: ignore
    trace = jax.tree.map(lambda x: x[np.argsort(order)], trace)
    estimates = _summarize(job, trace, centers, trivial_loss)
    if throw:
        require_converged(estimates)
    shown = {
        "checkpoint": steps is not None,
        **dict.fromkeys(grid or {}, True),
        "mask": masks is not None,
        "seed": seeds is not None,
    }
    axes = {name: job.axes[name] for name, there in shown.items() if there}
    return Sweep(axes, estimates.reshape([len(at) for at in axes.values()]))


def estimate(
    loss_fn: Objective,
    params: PyTree,
    data: PyTree,
    sampler: AbstractSampler,
    *,
    mask: PyTree | None = None,
    key: Key[Array, ""],
    **options: Any,
) -> LLCEstimate:
    """The local learning coefficient at one place w*.

    Everything that `sweep` takes but its axes may be given here too: `num_chains`,
    `num_draws`, `num_burnin`, `steps_between_draws`, `batch_size`, `initial_loss`,
    `trivial_loss`, `observables`, `test_acceptance`, `mesh`, `strategy`, `max_memory`
    and `throw`, with the same meanings and defaults.

    Args:
        loss_fn: (weights, examples) -> the loss of each example: an objective, such as
            `objectives.CrossEntropy()`, or any function.
        params: Weights w*: an Equinox module, a Flax or Haiku tree, or any pytree of
            arrays.
        data: Examples with a leading axis, or a function from a key to examples.
        sampler: How to sample, and at which `n_beta` and `gamma`.
        mask: A pytree like `params` with booleans that broadcast to its arrays: True
            where weights are sampled, for a weight-refined LLC. None for everything.
        key: Key that every chain folds its own from.
        **options: As in `sweep`.

    Raises:
        ValueError: an argument does not fit; before anything runs.
        LLCMemoryError: one chain does not fit the device.
        LLCError: the estimate is not `converged`, if `throw`.

    Example:
        >>> import jax.numpy as jnp, jax.random as jr
        >>> from jaxcirc import llc
        >>> # A regular model, so the LLC is d / 2.
        >>> loss = lambda w, batch: (w**2).sum() / 2 + 0 * batch
        >>> found = llc.estimate(
        ...     loss, jnp.zeros(8), jnp.zeros(1), llc.SGLD(1e-4, n_beta=1000.0),
        ...     num_chains=16, num_draws=4000, key=jr.key(0),
        ... )
        >>> round(found.value)
        4
        >>> found.status
        <Status.CONVERGED: 'converged'>
    """
    masks = None if mask is None else {"given": mask}
    found = sweep(loss_fn, params, data, sampler, masks=masks, key=key, **options)
    return found.estimates.item()


def _summarize(
    job: Job,
    trace: Trace,
    centers: Centers,
    trivial_loss: float | None,
) -> np.ndarray:
    """An estimate for every place, from the chains there, which lie side by side."""
    *shape, num_chains = job.lengths.values()
    names = list(job.lengths)
    gradients = job.schedule.num_steps * job.sampler.gradients_per_step
    # An axis of the grid overrides what the sampler says.
    n_betas = job.axes.get("n_beta", [job.sampler.numbers()["n_beta"]])
    estimates = np.empty(shape, object)
    for i, place_ in enumerate(np.ndindex(*shape)):
        rows = slice(i * num_chains, (i + 1) * num_chains)
        at = dict(zip(names, place_, strict=False))
        checkpoint = at["checkpoint"]
        estimates[place_] = summarize(
            jax.tree.map(lambda x, rows=rows: x[rows], trace),
            n_beta=n_betas[at.get("n_beta", 0)],
            dimension=job.dimensions[at["mask"]],
            num_draws=job.schedule.num_draws,
            initial_loss=centers.loss(checkpoint),
            trivial_loss=trivial_loss,
            observed_at_center=centers.observed_at(checkpoint),
            gradients=num_chains * gradients,
            steps_between_draws=job.schedule.steps_between_draws,
            tests=job.sampler.full_batch,
            adapts=job.sampler.needs_burnin,
        )
    return estimates
