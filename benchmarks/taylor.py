"""Engines of Taylor expansions beside each other, in turns in one process.

    python benchmarks/taylor.py [CASE ...] [--peer PYTHON]

Cases: `b` (4 layers of 256, 8 × 64 tokens), `c` (12 layers of 128, 4 × 32), `depth`
(compile time of 24 layers over that of 2), `attribute` (second order of all heads, in
gradients), `torch` (order 3 on model B beside nested `torch.func.jvp`, by the
interpreter that `--peer` names).
Times are in forward passes of the same model, memory is what XLA says that the program
needs besides inputs and outputs.
"""

import argparse
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from _harness import Peer, interleave, report, spread

from jaxcirc import taylor
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.objectives import CrossEntropy
from jaxcirc.tasks import Batch
from jaxcirc.taylor._engines import ENGINES
from jaxcirc.taylor._line import ModelLine

MODELS: dict[str, Any] = {
    "b": (512, 64, {"n_layers": 4, "d_model": 256, "n_heads": 8, "d_mlp": 1024}, 8),
    "c": (512, 32, {"n_layers": 12, "d_model": 128, "n_heads": 4, "d_mlp": 512}, 4),
}


def shape(name: str) -> tuple[TransformerConfig, int]:
    d_vocab, n_ctx, sizes, batch = MODELS[name]
    return TransformerConfig(d_vocab=d_vocab, n_ctx=n_ctx, **sizes), batch


def line_of(config: TransformerConfig, batch: int) -> ModelLine:
    base, other = (Transformer(config, key=jr.key(i)) for i in (0, 1))
    direction = jax.tree.map(lambda a, b: 0.1 * (b - a), base, other)
    tokens = jr.randint(jr.key(2), (batch, config.n_ctx), 0, config.d_vocab)
    return ModelLine((base, ()), (direction, ()), tokens)


def separate(line: ModelLine, order: int):
    """Nested forward mode as others have it: one program for every derivative."""
    out = []
    for j in range(order + 1):
        fn = lambda t: line.at(t)[0]
        for _ in range(j):
            fn = lambda t, f=fn: jax.jvp(f, (t,), (jnp.ones_like(t),))[1]
        out.append(fn(jnp.zeros(())))
    return out


def engines() -> dict:
    rows = {row.name: row.coefficients for row in ENGINES if row.name != "gradient"}
    return rows | {"separate": separate}


def compiled(fn, *args):
    """The program and the seconds of processor time that compiling took."""
    began = time.process_time()
    program = jax.jit(fn).lower(*args).compile()
    return program, time.process_time() - began


def temporary_mb(program) -> float:
    return round(program.memory_analysis().temp_size_in_bytes / 1e6, 1)


def against_forward(name: str, orders: tuple[int, ...], among: dict) -> None:
    config, batch = shape(name)
    line = line_of(config, batch)
    arrays, static = eqx.partition(line, eqx.is_array)
    whole = lambda arrays: eqx.combine(arrays, static)
    forward, _ = compiled(lambda a: whole(a).value(whole(a).start)[0], arrays)
    for order in orders:
        programs = {
            engine: compiled(lambda a, f=fn, k=order: f(whole(a), k), arrays)
            for engine, fn in among.items()
            # Unrolled and separate programs of order 5 take minutes to compile.
            if order <= 3 or engine == "scan"
        }
        run = lambda p: lambda: jax.block_until_ready(p(arrays))
        seconds = interleave(
            {"forward": run(forward)} | {e: run(p) for e, (p, _) in programs.items()}
        )
        unit = min(seconds["forward"])
        for engine, (program, compile_s) in programs.items():
            report(
                f"{name}: order {order}, {engine}",
                forwards=round(min(seconds[engine]) / unit, 2),
                compile_s=round(compile_s, 2),
                temporary_mb=temporary_mb(program),
                **spread(seconds[engine]),
            )


def depth() -> None:
    times = {}
    for n_layers in (2, 24, 2, 24):
        config = TransformerConfig(
            d_vocab=64, n_ctx=16, n_layers=n_layers, d_model=64, n_heads=4
        )
        line = line_of(config, 2)
        arrays, static = eqx.partition(line, eqx.is_array)
        fn = lambda a, s=static: engines()["scan"](eqx.combine(a, s), 3)
        times.setdefault(n_layers, []).append(compiled(fn, arrays)[1])
    ratio = min(times[24]) / min(times[2])
    report("compile time of 24 layers over that of 2", ratio=round(ratio, 2))


def attribution() -> None:
    config, batch = shape("b")
    line = line_of(config, batch)
    base, _ = line.start
    tuned = jax.tree.map(jnp.add, base, line.direction[0])
    examples = Batch(line.tokens, line.tokens, jnp.ones(line.tokens.shape, bool))
    loss = lambda model: CrossEntropy().mean(model, examples)
    gradient = eqx.filter_jit(eqx.filter_grad(loss))
    second = lambda: taylor.attribute(loss, base, tuned, groups="heads", order=2).values
    seconds = interleave(
        {
            "gradient": lambda: jax.block_until_ready(gradient(base)),
            "attribute": lambda: jax.block_until_ready(second()),
        }
    )
    ratio = min(seconds["attribute"]) / min(seconds["gradient"])
    report("second order of all heads", gradients=round(ratio, 2))


def beside_torch(python: str) -> None:
    config, batch = shape("b")
    line = line_of(config, batch)
    arrays, static = eqx.partition(line, eqx.is_array)
    scan = engines()["scan"]
    program, _ = compiled(lambda a: scan(eqx.combine(a, static), 3), arrays)
    seconds = interleave(
        {
            "scan": lambda: jax.block_until_ready(program(arrays)),
            "torch": Peer(python, "taylor_peer.py", "3"),
        }
    )
    report(
        "b: order 3, scan beside nested torch.func.jvp",
        over=round(min(seconds["torch"]) / min(seconds["scan"]), 2),
        **{name: spread(taken) for name, taken in seconds.items()},
    )


CASES = {
    "b": lambda: against_forward("b", (1, 3, 5), engines()),
    "c": lambda: against_forward("c", (3,), engines()),
    "depth": depth,
    "attribute": attribution,
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*", choices=[*CASES, "torch"], default=[*CASES])
    parser.add_argument("--peer", help="an interpreter that has torch 2.13.0")
    asked = parser.parse_args()
    for case in asked.cases:
        if case == "torch":
            beside_torch(asked.peer)
        else:
            CASES[case]()
