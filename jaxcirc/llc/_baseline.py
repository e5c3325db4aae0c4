"""What the data say at w* itself, before any chain runs."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._core import fold_name
from ._chain import Observables
from ._job import Baseline, Job
from ._problem import Problem, number_dtype


def initial_losses(
    job: Job, kind: Baseline
) -> tuple[Array | None, Float[np.ndarray, " checkpoint"] | None]:
    """Losses at w* for the chains to subtract, and L(w*) for the record.

    The losses of all examples are taken once, so a draw's baseline is a look-up; where
    the data outnumber the examples that the chains will see, or are a population, each
    step evaluates its own examples at w* instead, and both results are None.

    Args:
        job: The sweep.
        kind: `paired`, `full`, or the number itself.

    Raises:
        ValueError: a loss at w* is not finite, or `kind` is none of these.
    """
    n = job.problem.n
    # True and False are numbers to Python, and no losses.
    if isinstance(kind, int | float) and not isinstance(kind, bool):
        given = jnp.full(job.lengths["checkpoint"], kind, number_dtype(job.model))
        _check_finite(_some_losses(job.problem, job.models), job)
        return given, np.asarray(given)
    if kind not in ("paired", "full"):
        raise ValueError(
            f"llc: `initial_loss` is 'paired', 'full' or a number; got {kind!r}."
        )
    examples = job.problem.batch_size or n or 0
    seen = job.lengths["chain"] * job.schedule.num_steps * examples
    if n is None and kind == "full":
        raise ValueError(
            "llc: `initial_loss` = 'full' needs data; a function that draws examples "
            "has no end. Use 'paired', or give the number."
        )
    # Losses at w* that no draw asks for would cost more than they save.
    if n is None or (kind == "paired" and n > seen):
        _check_finite(_some_losses(job.problem, job.models), job)
        return None, None
    each = _all_losses(job.problem, job.models)
    whole = np.asarray(each.mean(axis=-1))
    _check_finite(whole, job)
    return (each if kind == "paired" else each.mean(axis=-1)), whole


def observe_centers(job: Job) -> Mapping[str, np.ndarray]:
    """Every observable at every w*, with a leading checkpoint axis."""
    return jax.device_get(_observe(job.models, job.observables))


@eqx.filter_jit
def _all_losses(problem: Problem, models: PyTree) -> Array:
    return _over_checkpoints(problem.all_losses, models)


@eqx.filter_jit
def _some_losses(problem: Problem, models: PyTree) -> Array:
    # A fixed key: these losses only show whether w* gives finite ones.
    examples, _ = problem.draw(fold_name(jr.key(0), "initial loss"))
    return _over_checkpoints(lambda m: problem.losses(m, examples).mean(), models)


@eqx.filter_jit
def _observe(models: PyTree, observables: Observables) -> dict[str, Array]:
    return _over_checkpoints(
        lambda m: {name: of(m) for name, of in observables.items()}, models
    )


def _over_checkpoints(of, models: PyTree):
    # One after the other, since the activations of all may not fit at once.
    arrays, static = eqx.partition(models, eqx.is_array)
    return jax.lax.map(lambda a: of(eqx.combine(a, static)), arrays)


def _check_finite(losses: Array | np.ndarray, job: Job) -> None:
    bad = np.flatnonzero(~np.isfinite(np.asarray(losses)))
    if len(bad):
        step = job.axes["checkpoint"][int(bad[0])]
        where = f" of checkpoint {step}" if job.lengths["checkpoint"] > 1 else ""
        raise ValueError(
            f"llc: the loss at w*{where} is {float(np.asarray(losses)[bad[0]])}, so "
            "there is nothing to sample around. Check the weights and the data."
        )
