"""Dictionaries: time of a step, of eight at once and end to end, beside SAELens.

    python benchmarks/saes.py [--peer PYTHON] [--repeats 5] [--steps 3]

`--peer` is an interpreter that has sae-lens 6.54.12 and torch; it runs as a child, in
turns with ours, and without it ours is timed alone. Sizes are 512 to 4,096 latents,
k = 32, batches of 4,096. Wall and processor seconds are both given: on a machine that
others use, the second is the one that can be compared. The last case compares the
memory that the program's compilation predicts with what a child process really takes.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from _harness import SETTLE_S, report
from saes_peer import (
    BATCH,
    BATCHES_IN_BUFFER,
    CONTEXT,
    LAYERS,
    MEMBERS,
    SEQUENCES,
    VOCABULARY,
    D,
    K,
    N,
)

from jaxcirc import saes
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.saes._member import new_member, update
from jaxcirc.saes._over_members import over_members

# Dead latents are looked for after as many tokens as there, which no run here reaches.
CONFIG = saes.TopK(d_in=D, d_sae=N, k=K, dead_after=4e6)


def training(steps):
    return saes.Training(
        steps=steps, batch_size=BATCH, buffer_batches=BATCHES_IN_BUFFER,
        sequences=SEQUENCES, normalise=False, centre=False,
    )  # fmt: skip


def steps(members):
    """(number of steps) -> that many updates of so many dictionaries."""
    how = training(10**6)
    state = jax.vmap(lambda k: new_member(CONFIG.init(k), how))(
        jr.split(jr.key(0), members)
    )
    batches = jr.normal(jr.key(1), (4, BATCH, D))

    @eqx.filter_jit(donate="all-except-first")
    def advance(kept, state):
        batches, n = kept

        def one(member, own, shared):
            del own

            def step(i, m):
                x = shared[i % 4]
                return update(m, CONFIG, x, x, jnp.int32(1), how)[0]

            return jax.lax.fori_loop(0, n, step, member), ()

        return over_members(one, members)(state, jnp.zeros(members), batches)[0]

    held = [state]

    def run(count):
        held[0] = advance((batches, jnp.int32(count)), held[0])
        jax.block_until_ready(held[0])

    return run


def end():
    config = TransformerConfig(
        d_vocab=VOCABULARY, n_ctx=CONTEXT, n_layers=LAYERS, d_model=D, n_heads=8,
        d_mlp=4 * D,
    )  # fmt: skip
    model = Transformer(config, key=jr.key(0))
    tokens = jr.randint(jr.key(1), (4000, CONTEXT), 0, VOCABULARY)

    def run(count):
        saes.train(
            CONFIG, model, "blocks.1.hook_mlp_out", tokens, training(count),
            key=jr.key(2),
        )  # fmt: skip

    return run


class Peer:
    def __init__(self, python, kind):
        here = os.path.dirname(os.path.abspath(__file__))
        self.child = subprocess.Popen(
            [python, os.path.join(here, "saes_peer.py"), kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def __call__(self, count):
        self.child.stdin.write(f"{count}\n")
        self.child.stdin.flush()
        word, wall, processor = self.child.stdout.readline().split()
        assert word == "seconds"
        return float(wall), float(processor)

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def clocked(run, count):
    wall, processor = time.perf_counter(), time.process_time()
    run(count)
    return time.perf_counter() - wall, time.process_time() - processor


def compared(case, ours, count, members, args):
    """Both sides in turns, after one of each that is not counted."""
    peer = Peer(args.peer, case) if args.peer else None
    times = {"jaxcirc": [], "sae-lens": []}
    for repeat in range(args.repeats + 1):
        time.sleep(SETTLE_S)
        mine = clocked(ours, count)
        theirs = peer(count) if peer else None
        if repeat:
            times["jaxcirc"].append(mine)
            if theirs:
                times["sae-lens"].append(theirs)
    if peer:
        peer.close()
    fields = {}
    for name, pairs in times.items():
        for i, kind in enumerate(("wall", "processor")):
            each = [pair[i] / count / members for pair in pairs]
            if each:
                fields[f"{name} {kind}_s"] = {
                    "median": round(statistics.median(each), 4),
                    "min": round(min(each), 4), "max": round(max(each), 4),
                }  # fmt: skip
    if peer:
        for kind in ("wall", "processor"):
            a, b = (fields[f"{n} {kind}_s"]["median"] for n in ("sae-lens", "jaxcirc"))
            fields[f"times as fast, {kind}"] = round(a / b, 2)
    report(case, unit="seconds of a step of one dictionary", **fields)


def memory(args):
    """What a child takes at its peak above what it held, and the prediction."""
    del args
    done = subprocess.run(
        [sys.executable, __file__, "--memory-child"],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    report("memory", **found, ratio=round(found["predicted"] / found["taken"], 3))


def memory_child():
    def resident():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    truth = saes.planted(N, D, l0=20.0, key=jr.key(0))
    how = saes.Training(steps=20, batch_size=BATCH, buffer_batches=16, seeds=2)
    args = (CONFIG, None, None, truth, how)
    predicted = saes.training_memory(*args, key=jr.key(1))
    jax.block_until_ready(jnp.ones(1000) @ jnp.ones(1000))
    before = resident()
    saes.train(*args, key=jr.key(1))
    print(json.dumps({"predicted": predicted, "taken": resident() - before}))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--only", choices=["step", "many", "end", "memory"])
    parser.add_argument("--memory-child", action="store_true")
    args = parser.parse_args()
    if args.memory_child:
        memory_child()
        return
    if not args.peer:
        print("no --peer: sae-lens is not timed", file=sys.stderr)
    cases = {
        "step": lambda: compared("step", steps(1), args.steps, 1, args),
        "many": lambda: compared("many", steps(MEMBERS), args.steps, MEMBERS, args),
        # Refills and one more partial one, so that several are in it.
        "end": lambda: compared("end", end(), 40, 1, args),
        "memory": lambda: memory(args),
    }
    for name, run in cases.items():
        if args.only in (None, name):
            run()


if __name__ == "__main__":
    main()
