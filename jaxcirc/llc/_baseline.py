"""What the data say at w* itself, before any chain runs."""

from collections.abc import Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ._chain import Observables
from ._job import Baseline, Job
from ._problem import Problem


class Centers(NamedTuple):
    """What is known of every w* before its chains run.

    Args:
        baselines: Losses at w* for the chains to subtract, with a leading checkpoint
            axis: of every example, or one number; None where each step evaluates its
            own examples at w*.
        losses: L(w*) for the record; None where that depends on the chains' examples.
        observed: Every observable at w*, with a leading checkpoint axis.
    """

    baselines: Array | None
    losses: Float[np.ndarray, " checkpoint"] | None
    observed: Mapping[str, np.ndarray]

    def loss(self, checkpoint: int) -> float | None:
        """L(w*) of one checkpoint."""
        return None if self.losses is None else float(self.losses[checkpoint])

    def observed_at(self, checkpoint: int) -> dict[str, np.ndarray]:
        """The observables at one checkpoint's w*."""
        return {name: values[checkpoint] for name, values in self.observed.items()}


def at_centers(job: Job, kind: Baseline) -> Centers:
    """Losses and observables at every w*.

    The losses of all examples are taken once, so a draw's baseline is a look-up; where
    the data outnumber the examples that the chains will see, or are a population, each
    step evaluates its own examples at w* instead.

    Args:
        job: The sweep.
        kind: `paired`, `full`, or the number itself.

    Raises:
        ValueError: a loss at w* is not finite, or `kind` is none of these.
    """
    # True and False are numbers to Python, and no losses.
    number = kind if isinstance(kind, int | float) else None
    if number is None or isinstance(kind, bool):
        _check_kind(kind, job)
    every = kind == "full" or (kind == "paired" and _is_worth_a_table(job))
    each = _losses(job.problem, job.models, every)
    mean = each.mean(axis=-1)
    _check_finite(np.asarray(mean), job)
    observed = jax.device_get(_observe(job.models, job.observables))
    if number is not None:
        given = jnp.full(job.lengths["checkpoint"], number, job.dtype)
        return Centers(given, np.asarray(given), observed)
    if not every:
        return Centers(None, None, observed)
    return Centers(each if kind == "paired" else mean, np.asarray(mean), observed)


def _check_kind(kind: Baseline, job: Job) -> None:
    if kind not in ("paired", "full"):
        raise ValueError(
            f"llc: `initial_loss` is 'paired', 'full' or a number; got {kind!r}."
        )
    if job.problem.n is None and kind == "full":
        raise ValueError(
            "llc: `initial_loss` = 'full' needs data; a function that draws examples "
            "has no end. Use 'paired', or give the number."
        )


def _is_worth_a_table(job: Job) -> bool:
    """Whether the chains see as many examples as there are.

    Losses at w* that no draw asks for would cost more than they save.
    """
    n = job.problem.n
    if n is None:
        return False
    steps = job.lengths["chain"] * job.schedule.num_steps
    return n <= steps * (job.problem.batch_size or n)


@eqx.filter_jit
def _losses(problem: Problem, models: PyTree, every: bool) -> Array:
    """Losses of every example, or of a few, by checkpoint."""
    return _over_checkpoints(
        problem.all_losses if every else problem.some_losses, models
    )


@eqx.filter_jit
def _observe(models: PyTree, observables: Observables) -> dict[str, Array]:
    return _over_checkpoints(
        lambda m: {name: of(m) for name, of in observables.items()}, models
    )


def _over_checkpoints(of, models: PyTree):
    # One after the other, since the activations of all may not fit at once.
    arrays, static = eqx.partition(models, eqx.is_array)
    return jax.lax.map(lambda a: of(eqx.combine(a, static)), arrays)


def _check_finite(losses: np.ndarray, job: Job) -> None:
    bad = np.flatnonzero(~np.isfinite(losses))
    if len(bad):
        step = job.axes["checkpoint"][int(bad[0])]
        where = f" of checkpoint {step}" if job.lengths["checkpoint"] > 1 else ""
        raise ValueError(
            f"llc: the loss at w*{where} is {float(losses[bad[0]])}, so "
            "there is nothing to sample around. Check the weights and the data."
        )
