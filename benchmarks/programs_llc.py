"""LLCs of the eight compiled programs by long HMC chains, on an accelerator.

    python benchmarks/programs_llc.py --prepare FOLDER   # needs tracr; any machine
    python benchmarks/programs_llc.py --run FOLDER       # core dependencies alone

The posterior is that of the packaged study `rasp_llc`: 128 sequences, cross-entropy of
one logit per answer, n_beta = n / ln n, gamma 300. A CPU runs two short chains of it;
here are eight, so that what they agree on can be told from where they began.
"""

import argparse
import dataclasses
import math
import os
import time

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from _harness import report

from jaxcirc._core import fold_name
from jaxcirc.checkpoints import TrajectoryWriter, open_trajectory
from jaxcirc.llc import HMC, force_preconditioner, propose, sweep
from jaxcirc.objectives import CrossEntropy
from jaxcirc.tasks import Batch

PROGRAMS = (
    "fraction_of_previous",
    "histogram",
    "sort",
    "triplets",
    "reverse",
    "peak",
    "palindrome",
    "dominant_peak",
)
EXAMPLES, GAMMA = 128, 300.0


def prepare(folder: str) -> None:
    from tracr_bridge import program_task

    for name in PROGRAMS:
        task = program_task(name, n_examples=2 * EXAMPLES, train_fraction=0.5)
        model = task.solution()
        writer = TrajectoryWriter(
            os.path.join(folder, name), model.config, {"answers": task.d_vocab_out}
        )
        writer.save(0, model)
        np.savez(os.path.join(folder, name, "examples.npz"), **task.train._asdict())


def run(folder: str, options: argparse.Namespace) -> None:
    began = time.monotonic()
    draws, t = options.draws, options.n_beta
    blank = HMC(1.0, t, GAMMA, num_leapfrog=options.leapfrog)
    for name in options.programs:
        if time.monotonic() - began > options.seconds:
            print(f"no time left for {name}", flush=True)
            continue
        at = time.monotonic()
        trajectory = open_trajectory(os.path.join(folder, name))
        model = trajectory.load(0)
        with np.load(os.path.join(folder, name, "examples.npz")) as arrays:
            examples = Batch(**{k: jnp.asarray(arrays[k]) for k in Batch._fields})
        key = fold_name(jr.key(0), name)
        if options.rounds:
            G = force_preconditioner(
                CrossEntropy(),
                model,
                examples,
                n_beta=t,
                gamma=GAMMA,
                rounds=options.rounds,
                num_leapfrog=options.leapfrog,
                key=fold_name(key, "pilot"),
            )
            sampler = dataclasses.replace(blank, step_size=0.1, preconditioner=G)
        else:
            sampler = propose(
                CrossEntropy(),
                model,
                examples,
                blank,
                gamma=GAMMA,
                batch_size=None,
                max_steps=max(10, 200 // blank.gradients_per_step),
                key=fold_name(key, "pilot"),
            )
        found = sweep(
            CrossEntropy(),
            model,
            examples,
            sampler,
            num_chains=options.chains,
            num_draws=draws,
            num_burnin=draws,
            steps_between_draws=1,
            batch_size=None,
            trivial_loss=math.log(trajectory.info["answers"]),
            key=key,
        ).estimates.item()
        report(
            f"programs_llc/{name}",
            parameters=sum(x.size for x in jax.tree.leaves(model)),
            chains=options.chains,
            leapfrog=options.leapfrog,
            draws=draws,
            n_beta=found.n_beta,
            rounds=options.rounds,
            # 1 where the localisation alone holds a chain that has relaxed.
            spread=round(
                GAMMA * float((found.distance**2).mean()) / found.dimension, 4
            ),
            loss=round(float(found.loss.mean()), 4),
            llc=round(float(found.value), 3),
            standard_error=round(float(found.standard_error), 3),
            rhat=round(float(found.rhat), 3),
            ess=round(float(found.ess), 1),
            status=found.status,
            per_chain=[round(float(x), 2) for x in np.ravel(found.per_chain)],
            seconds=round(time.monotonic() - at, 1),
        )
        jax.clear_caches()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepare", metavar="FOLDER")
    parser.add_argument("--run", metavar="FOLDER")
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--leapfrog", type=int, default=20)
    parser.add_argument("--chains", type=int, default=8)
    parser.add_argument("--n-beta", type=float, help="n / ln n if left out")
    parser.add_argument("--rounds", type=int, default=0, help="of preconditioning")
    parser.add_argument("--programs", nargs="*", default=PROGRAMS)
    parser.add_argument("--seconds", type=float, default=math.inf)
    arguments = parser.parse_args()
    jax.config.update("jax_default_matmul_precision", "highest")
    if arguments.prepare:
        prepare(arguments.prepare)
    if arguments.run:
        run(arguments.run, arguments)
