"""How the measurements of local learning coefficients run their chains."""

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
from jaxtyping import Array, Key, PyTree

from ..._core import find, fold_name, widened
from ...llc import SAMPLERS, AbstractSampler, Schedule, Sweep, make_job, sweep
from ...models import Transformer, TransformerConfig
from ...tasks import AbstractTask, Batch
from ._named_objective import NamedObjective, named_objective

Made = TypeVar("Made")
# Options of a short run, for tests.
TINY = {
    "batch_size": 4,
    "num_chains": 2,
    "num_draws": 8,
    "num_burnin": 4,
    "n_examples": 8,
}


def train_examples(task: AbstractTask, n: int, key: Key[Array, ""]) -> Batch:
    """The whole train split if it has at most `n` examples, else `n` of it.

    Args:
        task: The study's task.
        n: How many examples, at most.
        key: The examples are drawn from it, where they are drawn.
    """
    batch = task.examples("train")
    if batch is not None and len(batch.tokens) <= n:
        return batch
    return task.sample(n, split="train", key=fold_name(key, "examples"))


class Sampling(eqx.Module):
    """How chains are run; shared by the measurements that run them.

    Args:
        objective: What the loss is.
        sampler: The sampler with its numbers.
        batch_size: Examples per step, all if there are no more; None for all.
        num_chains: Chains at every model.
        num_draws: Draws of each chain.
        num_burnin: Steps before the first draw.
        steps_between_draws: Steps to a draw.
        n_examples: Train examples that make up the loss, at most.
    """

    objective: NamedObjective
    sampler: AbstractSampler
    batch_size: int | None = eqx.field(static=True)
    num_chains: int = eqx.field(static=True)
    num_draws: int = eqx.field(static=True)
    num_burnin: int = eqx.field(static=True)
    steps_between_draws: int = eqx.field(static=True)
    n_examples: int = eqx.field(static=True)

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """Refuse what `sweep` would refuse, before any training.

        Args:
            config: The config of the study's models.
            task: The study's task.

        Raises:
            ValueError: a number does not fit the models or the task.
        """
        model = eqx.filter_eval_shape(Transformer, config, key=jr.key(0))
        self.objective.check(config, task)
        examples = self.examples(task, jr.key(0))
        make_job(
            self.objective.loss,
            # NumPy's zeros take no memory before somebody writes to them.
            jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), model),
            examples,
            self.sampler,
            steps=None,
            grid=None,
            masks=None,
            seeds=None,
            num_chains=self.num_chains,
            schedule=Schedule(
                self.num_draws, self.num_burnin, self.steps_between_draws
            ),
            batch_size=self._batch_size(examples),
            observables=None,
        )

    def examples(self, task: AbstractTask, key: Key[Array, ""]) -> PyTree:
        """The train examples that make up the loss.

        Args:
            task: The study's task.
            key: The examples are drawn from it, where they are drawn.
        """
        if self.objective.takes == "batch":
            return train_examples(task, self.n_examples, key)
        return self.objective.examples(task, self.n_examples, key)

    def _batch_size(self, data: PyTree) -> int | None:
        """Examples per step, or None for all, which is what some samplers need."""
        n = len(jax.tree.leaves(data)[0])
        if self.sampler.full_batch or self.batch_size is None:
            return None
        # What a study takes by default is more than some tasks have.
        return self.batch_size if self.batch_size < n else None

    def run(
        self, models: Transformer, task: AbstractTask, key: Key[Array, ""], **more: Any
    ) -> np.ndarray:
        """Estimates of models with leading axes checkpoint and seed, in one sweep.

        Weights move in float32 or wider. Chains of one seed have the same noise at
        every checkpoint, whichever are sampled together.

        Args:
            models: Models whose arrays have the two leading axes.
            task: The task whose train examples make up the loss.
            key: Examples and chains are drawn from it.
            **more: Options of `jaxcirc.llc.sweep`.

        Returns:
            An object array of `LLCEstimate`: checkpoint × seed, and axes of a grid.
        """
        data = self.examples(task, key)
        trivial = None
        if self.objective.name == "cross_entropy":
            trivial = math.log(min(task.d_vocab_out, models.config.sizes.d_vocab_out))
        lead = jax.tree.leaves(models)[0].shape[:2]
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), widened(models))
        # Noise goes by seed, so that a curve shows weights changing and not chains.
        more = {"trivial_loss": trivial, "noise": [*range(lead[1])] * lead[0], **more}
        found = self.sweep(self.objective.loss, flat, data, key, **more).estimates
        return found.reshape(*lead, *found.shape[1:])

    def sweep(
        self,
        loss_fn: Callable[[Any, Any], Array],
        models: PyTree,
        data: PyTree,
        key: Key[Array, ""],
        **more: Any,
    ) -> Sweep:
        """Sample around stacked points of any loss, with these settings.

        Args:
            loss_fn: (weights, examples) -> the loss of each example.
            models: Arrays with a leading axis.
            data: Examples.
            key: All chains are drawn from it.
            **more: Options of `jaxcirc.llc.sweep`.
        """
        number = len(jax.tree.leaves(models)[0])
        return sweep(
            loss_fn,
            models,
            data,
            self.sampler,
            steps=list(range(number)),
            batch_size=self._batch_size(data),
            num_chains=self.num_chains,
            num_draws=self.num_draws,
            num_burnin=self.num_burnin,
            steps_between_draws=self.steps_between_draws,
            key=key,
            **more,
        )


def sampling(
    sampler: str = "sgld",
    step_size: float = 3e-5,
    n_beta: float | None = None,
    gamma: float = 300.0,
    batch_size: int | None = 256,
    num_chains: int = 4,
    num_draws: int = 200,
    num_burnin: int = 600,
    steps_between_draws: int = 4,
    n_examples: int = 4096,
    num_leapfrog: int | None = None,
    objective: str = "cross_entropy",
) -> Sampling:
    """The settings of chains that sample a local posterior, from a study's options.

    Args:
        sampler: `sgld`, `rmsprop_sgld`, `adam_sgld`, `sghmc`, `sgnht`, `mala`, `hmc`.
        step_size: Step size of the sampler.
        n_beta: Inverse temperature times number of examples; null for n / ln n.
        gamma: Strength of the localisation.
        batch_size: Examples per step, all if there are no more; null for all.
        num_chains: Chains at every place.
        num_draws: Draws of each chain.
        num_burnin: Steps before the first draw.
        steps_between_draws: Steps to a draw.
        n_examples: Train examples that make up the loss, at most.
        num_leapfrog: Gradients of one trajectory of `hmc`; 20 unless given. Steep
            models, such as compiled programs, need 100.
        objective: What the loss is: a name of `jaxcirc list objectives`; of a score,
            its negative.

    Raises:
        ValueError: there is no such sampler, or it takes no such number.
    """
    build = find(SAMPLERS, sampler, kind="sampler").build
    more = {} if num_leapfrog is None else {"num_leapfrog": num_leapfrog}
    if more and sampler != "hmc":
        raise ValueError(
            f"num_leapfrog: {sampler!r} makes no trajectories; only `hmc` does. Leave "
            "it out."
        )
    return Sampling(
        named_objective(objective),
        build(step_size=step_size, n_beta=n_beta, gamma=gamma, **more),
        batch_size,
        num_chains,
        num_draws,
        num_burnin,
        steps_between_draws,
        n_examples,
    )


def sampled(measurement: Callable[[Sampling], Made]) -> Callable[..., Made]:
    """A measurement built from the options of `sampling`."""

    @functools.wraps(sampling)
    def build(**options: Any) -> Made:
        return measurement(sampling(**options))

    return build
