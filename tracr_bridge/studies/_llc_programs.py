"""The coefficients of compiled programs, as published and as they should be."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from jaxcirc._core import find, fold_name
from jaxcirc.llc import (
    HMC,
    SAMPLERS,
    LLCEstimate,
    Status,
    force_preconditioner,
    propose,
    sweep,
)
from jaxcirc.metrics import rank_0_rate
from jaxcirc.models import TransformerConfig
from jaxcirc.objectives import CrossEntropy
from jaxcirc.study import MeasurementSpec, Once, Outcome, Quantity
from jaxcirc.tasks import AbstractTask

from ..rasp import compile_named, program_task, published_llcs

# A status is stored as its place in this list.
STATUSES = tuple(str(status) for status in Status)

# Steps of the pilot chains that a step size is chosen with.
PILOT_STEPS = 200


class ProgramLLCs(Once):
    """Compiled programs' LLCs; neither the model nor the task has a part in it.

    In two modes. `published` repeats the procedure of an earlier study beside its
    figures. The other mode is of the program's answers: cross-entropy of one logit per
    answer, the whole data set, n_beta = n / ln n, burn-in, error bars and a status; the
    same posterior by every sampler.
    """

    programs: tuple[str, ...] = eqx.field(static=True)
    samplers: tuple[str, ...] = eqx.field(static=True)
    gamma: float = eqx.field(static=True)
    n_examples: int = eqx.field(static=True)
    num_chains: int = eqx.field(static=True)
    num_draws: int = eqx.field(static=True)
    num_burnin: int = eqx.field(static=True)
    num_steps: int = eqx.field(static=True)
    batch_size: int = eqx.field(static=True)
    trials: int = eqx.field(static=True)
    full_batch_up_to: int = eqx.field(static=True)
    num_leapfrog: int = eqx.field(static=True)
    n_beta: float | None = eqx.field(static=True)
    pilot_rounds: int = eqx.field(static=True)

    def check(self, config: TransformerConfig, task: AbstractTask) -> None:
        """The programs compile; needs tracr."""
        del config, task
        for name in self.programs:
            compile_named(name)

    def __call__(
        self,
        task: AbstractTask,
        inputs: Mapping[str, PyTree],
        *,
        key: Key[Array, ""],
    ) -> Outcome:
        """With axes `program` and, for the corrected mode, `sampler`."""
        del task, inputs
        rows = []
        for name in self.programs:
            rows.append(self._program(name, fold_name(key, name)))
            # Programs of eight models at once exceed what a process may map.
            jax.clear_caches()
        meanings = {
            "parameters": ("", "of the compiled model with its answers"),
            "accuracy": ("share", "right answers among the examples"),
            "published": ("", "reported by the earlier study"),
            "same_function": ("", "1 where its model computed the program, else 0"),
            "published_spread": ("", "standard deviation over its repeats"),
            "repeated": ("", "its procedure here"),
            "repeated_spread": ("", "standard deviation over repeats here"),
            "llc": ("", "local learning coefficient of the answers"),
            "standard_error": ("", "of llc"),
            "status": ("", "of the estimate; -1 where the sampler was not run"),
            "rhat": ("", "rank-normalised split R-hat"),
            "gradients": ("gradients", "of one chain"),
        }

        def quantity(name: str) -> Quantity:
            values = np.array([row[name] for row in rows], np.float64)
            dims = ("program", "sampler") if values.ndim > 1 else ("program",)
            return Quantity(
                values,
                dims,
                *meanings[name],
                role="series" if name == "llc" else "diagnostic",
                codes=STATUSES if name == "status" else (),
            )

        return Outcome({name: quantity(name) for name in meanings})

    def _program(self, name: str, key: Key[Array, ""]) -> dict[str, Any]:
        row = find(
            published_llcs.PUBLISHED_LLCS, name, kind="program with published LLC"
        )
        trials = published_llcs.repeat(
            row, trials=self.trials, key=fold_name(key, "old")
        )
        # Twice as many as are used, so that the rarer kinds of answer are there.
        task = program_task(name, n_examples=2 * self.n_examples, train_fraction=0.5)
        model, examples = task.solution(), task.train
        logits = eqx.filter_jit(lambda m, tokens: m(tokens))(model, examples.tokens)
        size = sum(x.size for x in jax.tree.leaves(model))
        found = [
            self._estimate(s, size, model, examples, task, key) for s in self.samplers
        ]
        return {
            "parameters": size,
            "accuracy": rank_0_rate(logits, examples.targets, examples.mask),
            "published": row.value,
            "same_function": not row.doubt,
            "published_spread": row.spread,
            "repeated": trials.mean(),
            "repeated_spread": trials.std(ddof=1),
            "llc": [_value(e, "value") for e in found],
            "standard_error": [_value(e, "standard_error") for e in found],
            "status": [-1 if e is None else STATUSES.index(e.status) for e in found],
            "rhat": [_value(e, "rhat") for e in found],
            "gradients": [_value(e, "gradients") / self.num_chains for e in found],
        }

    def _estimate(
        self, name, parameters, model, examples, task, key
    ) -> LLCEstimate | None:
        build = find(SAMPLERS, name, kind="sampler").build
        more = {"num_leapfrog": self.num_leapfrog} if name == "hmc" else {}
        blank = build(step_size=1.0, gamma=self.gamma, n_beta=self.n_beta, **more)
        if blank.full_batch and parameters > self.full_batch_up_to:
            return None
        draws, burnin = self.num_draws, self.num_burnin
        size = None if blank.full_batch else self.batch_size
        # A step of a sampler that tests is many gradients on all the data.
        between = 1 if blank.full_batch else max(1, self.num_steps // (draws + burnin))
        pilot_key = fold_name(key, f"pilot/{name}")
        if self.pilot_rounds and isinstance(blank, HMC):
            sampler = self._preconditioned(blank, model, examples, pilot_key)
        else:
            sampler = propose(
                CrossEntropy(),
                model,
                examples,
                blank,
                gamma=self.gamma,
                batch_size=size,
                max_steps=max(10, PILOT_STEPS // blank.gradients_per_step),
                key=pilot_key,
            )
        found = sweep(
            CrossEntropy(),
            model,
            examples,
            sampler,
            num_chains=self.num_chains,
            num_draws=draws,
            num_burnin=burnin * between,
            steps_between_draws=between,
            batch_size=size,
            trivial_loss=math.log(task.d_vocab_out),
            key=fold_name(key, name),
        )
        return found.estimates.item()

    def _preconditioned(self, blank: HMC, model, examples, key) -> HMC:
        """HMC with step sizes of all weights, where its tuning may begin."""
        G = force_preconditioner(
            CrossEntropy(),
            model,
            examples,
            n_beta=self.n_beta,
            gamma=self.gamma,
            rounds=self.pilot_rounds,
            num_leapfrog=self.num_leapfrog,
            key=key,
        )
        return dataclasses.replace(blank, step_size=0.1, preconditioner=G)

    def coords(
        self, config: TransformerConfig, task: AbstractTask, *, key: Key[Array, ""]
    ) -> dict[str, list[str]]:
        """Programs and samplers."""
        del config, task, key
        return {"program": list(self.programs), "sampler": list(self.samplers)}


def _value(found: LLCEstimate | None, name: str) -> float:
    return math.nan if found is None else float(getattr(found, name))


EIGHT = (
    "fraction_of_previous",
    "palindrome",
    "peak",
    "dominant_peak",
    "histogram",
    "reverse",
    "sort",
    "triplets",
)


def llc_programs(
    programs: tuple[str, ...] = EIGHT,
    samplers: tuple[str, ...] = ("sgld", "hmc"),
    gamma: float = 300.0,
    n_examples: int = 128,
    num_chains: int = 2,
    num_draws: int = 60,
    num_burnin: int = 60,
    num_steps: int = 600,
    batch_size: int = 32,
    trials: int = 5,
    full_batch_up_to: int = 300_000,
    num_leapfrog: int = 20,
    n_beta: float | None = None,
    pilot_rounds: int = 0,
) -> ProgramLLCs:
    """LLCs of compiled programs: a published procedure beside a corrected one.

    Args:
        programs: Names that have a published value.
        samplers: Of the corrected mode; names as in `llc`.
        gamma: Strength of its localisation.
        n_examples: Sequences that make up its loss.
        num_chains: Its chains.
        num_draws: Draws of each.
        num_burnin: Draws' worth of steps before the first.
        num_steps: Steps of a chain on minibatches, burn-in included.
        batch_size: Of those.
        trials: Repeats of the published procedure.
        full_batch_up_to: Parameters of the largest model for which samplers that take
            all the data at every step are run; a larger one takes hours of one core.
        num_leapfrog: Gradients of one trajectory of `hmc`. At 100 the smallest program
            converges in 300 draws after as many.
        n_beta: Inverse temperature times number of examples of the corrected mode;
            n / ln n if None, at which some programs guess (`docs/programs.md`).
        pilot_rounds: Pilots of 60 trajectories that precondition `hmc` by the forces
            they meet; 0 for no preconditioner.
    """
    for name in samplers:
        find(SAMPLERS, name, kind="sampler")
    if min(n_examples, num_chains, num_draws, trials - 1, len(programs)) < 1:
        raise ValueError(
            "llc_programs: needs a program, an example, a chain, a draw and two trials "
            f"at least; got {len(programs)}, {n_examples}, {num_chains}, {num_draws} "
            f"and {trials}."
        )
    return ProgramLLCs(
        tuple(programs),
        tuple(samplers),
        gamma,
        n_examples,
        num_chains,
        num_draws,
        num_burnin,
        num_steps,
        batch_size,
        trials,
        full_batch_up_to,
        num_leapfrog,
        n_beta,
        pilot_rounds,
    )


SPEC = MeasurementSpec(
    name="llc_programs",
    summary="LLCs of compiled RASP programs: as published, and corrected",
    build=llc_programs,
    tiny={
        "programs": ("sort",),
        "samplers": ("sgld",),
        "n_examples": 8,
        "num_draws": 4,
        "num_burnin": 4,
        "num_steps": 8,
        "batch_size": 4,
        "trials": 2,
    },
)
