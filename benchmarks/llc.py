"""SGLD chains on two workloads, beside devinterp in environments of their own.

    pip install -r benchmarks/requirements.txt
    python benchmarks/llc.py --v2 ENV/bin/python --v1 ENV/bin/python
    python benchmarks/llc.py --device     # core dependencies only, on an accelerator

W1 is a transformer of two layers (width 128, 4 heads, MLP 512, 114 tokens, 3
positions; 424,064 parameters) with 8 chains and batches of 512; its MLP has 3,537
parameters. Peers are interpreters that have devinterp 2.0.1 and 1.3.2; they are started
once each and take turns with ours. The time per chain-step is the slope between a short
and a long run, which leaves out what every call costs.
"""

import argparse
import sys
import time

import jax

if "--device" not in sys.argv:
    jax.config.update("jax_num_cpu_devices", 2)

import jax.numpy as jnp  # noqa: E402
import jax.random as jr  # noqa: E402
import numpy as np  # noqa: E402
from _harness import Peer, report, spread  # noqa: E402

from jaxcirc import llc  # noqa: E402
from jaxcirc.models import Transformer, TransformerConfig  # noqa: E402

CHAINS, BATCH, N = 8, 512, 4096


def transformer(layers=2, width=128, heads=4, vocabulary=114, pos=3):
    config = TransformerConfig(
        d_vocab=vocabulary,
        n_ctx=pos,
        n_layers=layers,
        d_model=width,
        n_heads=heads,
        d_mlp=4 * width,
        norm="none" if pos == 3 else "layer",
        attention_bias=pos != 3,
        activation="relu" if pos == 3 else "gelu_tanh",
    )
    return Transformer(config, key=jr.key(0))


def next_token_losses(model, tokens):
    """Mean over positions of the cross-entropy of each next token."""
    log_p = jax.nn.log_softmax(model(tokens)[:, :-1])
    picked = jnp.take_along_axis(log_p, tokens[:, 1:, None], axis=-1)
    return -picked[..., 0].mean(axis=-1)


def mlp(key):
    a, b = jr.split(key)
    return {
        "in": jr.normal(a, (32, 41)) / 6,
        "b": jnp.zeros(41),
        "out": jr.normal(b, (41, 52)) / 6,
        "c": jnp.zeros(52),
    }


def mlp_losses(p, batch):
    x, y = batch
    hidden = jax.nn.relu(x @ p["in"] + p["b"][None])
    log_p = jax.nn.log_softmax(hidden @ p["out"] + p["c"][None])
    return -jnp.take_along_axis(log_p, y[:, None], axis=1)[:, 0]


def run(loss, params, data, draws, chains=CHAINS, **options):
    sampler = llc.SGLD(1e-6, n_beta=100.0, gamma=1.0)
    return llc.sweep(
        loss,
        params,
        data,
        sampler,
        num_chains=chains,
        num_draws=draws,
        num_burnin=0,
        batch_size=BATCH,
        key=jr.key(0),
        **options,
    )


def timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def gemm_peak(n=2048, repeats=5) -> float:
    """GFLOP/s of one large matrix product over all cores."""
    a = jr.normal(jr.key(0), (n, n))
    product = jax.jit(lambda a: a @ a)
    product(a).block_until_ready()
    best = min(timed(lambda: product(a).block_until_ready()) for _ in range(repeats))
    return 2 * n**3 / best / 1e9


def step_gflop(model, pos=3) -> float:
    """Matrix products of one gradient of a transformer, forward and backward."""
    c = model.config
    weights = sum(
        x.size for x in jax.tree.leaves((model.blocks, model.W_U)) if x.ndim > 1
    )
    attention = 2 * c.n_layers * c.n_heads * c.sizes.d_head * pos * pos * 2
    return 3 * BATCH * (2 * weights * pos + attention) / 1e9


def compare(name, ours, peers, lengths, repeats=5):
    """Seconds per chain-step: the slope between two lengths, in turns."""
    slopes: dict[str, list[float]] = {}
    fixed: dict[str, list[float]] = {}
    runs = {"jaxcirc": ours, **{k: p.seconds for k, p in peers.items()}}
    for go in runs.values():
        for n in lengths["jaxcirc"] if go is ours else lengths["peer"]:
            go(n)
    for _ in range(repeats):
        for who, go in runs.items():
            short, long = lengths["jaxcirc" if go is ours else "peer"]
            a, b = go(short), go(long)
            slope = (b - a) / (long - short) / CHAINS
            slopes.setdefault(who, []).append(slope)
            fixed.setdefault(who, []).append(a - short * CHAINS * slope)
    for who, values in slopes.items():
        extra = {"fixed_s": round(float(np.median(fixed[who])), 3)}
        report(f"llc/{name}/{who}", per_chain_step=spread(values), **extra)
    own = np.median(slopes["jaxcirc"])
    return own, {who: np.median(v) / own for who, v in slopes.items() if who in peers}


def on_cpu(args):
    model = transformer()
    size = sum(x.size for x in jax.tree.leaves(model))
    tokens = jr.randint(jr.key(1), (N, 3), 0, 114)
    peak = gemm_peak()
    peers = (
        {"devinterp_2.0.1": Peer(args.v2, "llc_peer.py", "transformer")}
        if args.v2
        else {}
    )
    own, ratios = compare(
        "transformer",
        lambda n: timed(lambda: run(next_token_losses, model, tokens, n)),
        peers,
        {"jaxcirc": (5, 45), "peer": (5, 25)},
    )
    gflops = step_gflop(model) / own
    report(
        "llc/transformer/ratios",
        parameters=size,
        over=ratios,
        gflops=round(gflops, 1),
        gemm_gflops=round(peak, 1),
        share_of_gemm=round(gflops / peak, 3),
    )

    p, key = mlp(jr.key(0)), jr.key(2)
    data = (jr.normal(key, (N, 32)), jr.randint(key, (N,), 0, 52))
    peers = {"devinterp_1.3.2": Peer(args.v1, "llc_peer.py", "mlp")} if args.v1 else {}
    _, ratios = compare(
        "mlp",
        lambda n: timed(lambda: run(mlp_losses, p, data, n)),
        peers,
        {"jaxcirc": (100, 1100), "peer": (20, 120)},
    )
    report(
        "llc/mlp/ratios",
        parameters=sum(x.size for x in jax.tree.leaves(p)),
        over=ratios,
    )

    eight = jax.tree.map(lambda x: jnp.stack([x] * 8), model)
    steps = list(range(8))
    runs = {
        "checkpoints_8x4": lambda: run(
            next_token_losses, eight, tokens, 10, chains=4, steps=steps
        ),
        "chains_32": lambda: run(next_token_losses, model, tokens, 10, chains=32),
    }
    seconds = {name: [] for name in runs}
    for repeat in range(6):
        for name, go in runs.items():
            took = timed(go)
            if repeat:
                seconds[name].append(took)
    medians = {name: spread(s)["median_s"] for name, s in seconds.items()}
    report(
        "llc/sweep",
        **{name: spread(s) for name, s in seconds.items()},
        ratio=round(medians["checkpoints_8x4"] / medians["chains_32"], 3),
    )
    memory(model, tokens)


def memory(model, tokens):
    """Peak memory of the compiled program, as the compiler counts it."""
    from jaxcirc._core import tree_bytes
    from jaxcirc.llc._baseline import at_centers
    from jaxcirc.llc._program import Layout, sample_cells
    from jaxcirc.llc._slope import center_gradients

    schedule = llc.Schedule(10, 0, 1)
    job = llc.make_job(
        next_token_losses,
        model,
        tokens,
        llc.SGLD(1e-6, n_beta=100.0),
        steps=None,
        grid=None,
        masks=None,
        seeds=None,
        num_chains=CHAINS,
        schedule=schedule,
        batch_size=BATCH,
        observables=None,
    )
    inputs = (
        job.problem,
        job.sampler.without_numbers(),
        job.models,
        None,
        at_centers(job, "paired").baselines,
        center_gradients(job),
        job.cells(jr.key(0)),
        {},
        schedule,
    )
    parameters = tree_bytes(model)
    activations = job.chain_bytes - 3 * parameters
    allowed = 3 * parameters + activations
    for lanes in (1, CHAINS):
        lowered = sample_cells.lower(*inputs, Layout(lanes))
        analysis = lowered.compile().compiled.memory_analysis()
        used = analysis.temp_size_in_bytes / lanes
        report(
            f"llc/memory/{'map' if lanes == 1 else 'vmap'}",
            parameter_bytes=parameters,
            activation_bytes=activations,
            temporary_bytes_per_concurrent_chain=int(used),
            share_of_allowed=round(used / allowed, 3),
        )


def cast(loss, dtype):
    """A loss computed in another type; weights and losses stay in float32."""

    def of(params, batch):
        to = lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x
        return loss(jax.tree.map(to, params), batch).astype(jnp.float32)

    return of


def on_device(workloads):
    """Chains side by side on an accelerator, in three precisions."""
    peak = gemm_peak(8192)
    report("llc/device/gemm", gflops=round(peak, 1))
    p, key = mlp(jr.key(0)), jr.key(2)
    data = (jr.normal(key, (N, 32)), jr.randint(key, (N,), 0, 52))
    cases = [("mlp", mlp_losses, p, data, c, 200, None) for c in (1, 64, 4096)]
    model, tokens = transformer(), jr.randint(jr.key(1), (N, 3), 0, 114)
    cases += [
        ("w1", next_token_losses, model, tokens, c, 50, step_gflop(model))
        for c in (1, 16, 256)
    ]
    large = transformer(layers=12, width=768, heads=12, vocabulary=50257, pos=64)
    long = jr.randint(jr.key(1), (N, 64), 0, 50257)
    flop = step_gflop(large, pos=64)
    cases += [("gpt2", next_token_losses, large, long, c, 3, flop) for c in (1, 2)]
    for name, loss, params, examples, chains, draws, gflop in cases:
        if name not in workloads:
            continue
        for precision in ("highest", "tensorfloat32", "bfloat16"):
            half = precision == "bfloat16"
            own = cast(loss, jnp.bfloat16) if half else loss
            matmul = "default" if half else precision
            with jax.default_matmul_precision(matmul):
                go = lambda o=own, q=params, x=examples, d=draws, c=chains: run(
                    o, q, x, d, c
                )
                go()
                seconds = [timed(go) for _ in range(3)]
            rate = chains * draws / spread(seconds)["median_s"]
            extra = {}
            if gflop:
                extra["gflops"] = round(gflop * rate, 1)
                extra["share_of_gemm"] = round(gflop * rate / peak, 3)
            report(
                f"llc/device/{name}",
                chains=chains,
                precision=precision,
                chain_steps_per_s=round(rate, 1),
                **extra,
                **spread(seconds),
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--v2", help="Python with devinterp 2.0.1")
    parser.add_argument("--v1", help="Python with devinterp 1.3.2")
    parser.add_argument("--device", action="store_true", help="accelerator run")
    parser.add_argument(
        "--workloads", nargs="*", default=("mlp", "w1", "gpt2"), help="of --device"
    )
    arguments = parser.parse_args()
    on_device(arguments.workloads) if arguments.device else on_cpu(arguments)
