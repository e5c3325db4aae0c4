"""How well attribution ranks the edges of compiled programs, against patching each.

    pip install 'jaxcirc[tracr]'
    python benchmarks/circuits_truth.py             # a quarter of an hour on two cores
    python benchmarks/circuits_truth.py --random 5 --packaged 3

All packaged programs and random ones. A table of AUROC by method and ablation, where an
edge counts as true if patching it has an effect in any example; where none has, as
where all answers are the same, there is nothing to rank. Each program that is not
ranked perfectly is told with the edges that are behind others, and why: `silent` ones
are true and have no score (the gradient vanishes wherever the method looks), `false`
ones have no effect and a higher score than a true one (a step that is sharp where it is
looked at, and has the same value at both ends).
"""

import argparse
import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from _harness import report
from tracr.rasp import rasp

import tracr_bridge as tb
from jaxcirc import circuits
from jaxcirc.models import Transformer
from jaxcirc.tasks import Pairs
from tracr_bridge.rasp.programs import PROGRAMS

ABLATIONS = ("resample", "zero", "mean")
EXAMPLES, VOCAB, LENGTH = 12, (0, 1, 2), 4
UNARY = (lambda x: x % 2, lambda x: int(x == 1), lambda x: min(x, 2))
BINARY = (
    lambda x, y: (x + y) % 3,
    lambda x, y: int(x == y),
    lambda x, y: max(x, y) % 4,
)
PLACES = (lambda i: max(i - 1, 0), lambda i: 0 * i, lambda i: i - i % 2)
COMPARISONS = ("EQ", "LT", "LEQ", "GT", "NEQ")


class Agreement(eqx.Module):
    """The product of a run's outputs with the clean run's, over all positions."""

    model: Transformer

    def __call__(self, run, pairs):
        clean = jax.lax.stop_gradient(self.model(pairs.clean))
        return (run(pairs.clean) * clean)[:, 1:].sum(axis=(1, 2))


def expression(rng, depth):
    """A random categorical expression of small whole numbers."""
    kind = rng.choice(["leaf", "map", "pair", "gather", "width"]) if depth else "leaf"
    choose = lambda options: options[rng.integers(len(options))]
    if kind == "leaf":
        return choose((rasp.tokens, rasp.tokens, rasp.indices))
    inner = expression(rng, depth - 1)
    if kind == "map":
        return rasp.Map(choose(UNARY), inner)
    if kind == "gather":
        # Each position chooses exactly one other: categories cannot be averaged.
        place = rasp.Map(choose(PLACES), rasp.indices)
        select = rasp.Select(rasp.indices, place, rasp.Comparison.EQ)
        return rasp.Aggregate(select, inner)
    other = expression(rng, depth - 1)
    if kind == "pair":
        return rasp.SequenceMap(choose(BINARY), inner, other)
    comparison = getattr(rasp.Comparison, choose(COMPARISONS))
    return rasp.SelectorWidth(rasp.Select(inner, other, comparison))


def random_programs(n):
    """Name, compiled program and sequences, without those that tracr gets wrong."""
    rng, found = np.random.default_rng(0), []
    reads = lambda p: p is rasp.tokens or any(map(reads, p.children))
    while len(found) < n:
        program = expression(rng, 3)
        if not program.children or not reads(program):
            continue
        try:
            compiled = tb.compile(program, VOCAB, LENGTH, check=20)
        except ValueError:
            continue
        draw = rng.integers(len(VOCAB), size=(2 * EXAMPLES, LENGTH))
        found.append((f"random {len(found)}", compiled, draw.tolist()))
    return found


def packaged_programs(n):
    """Name, compiled program and sequences of the catalogue."""
    for row in PROGRAMS[:n]:
        compiled = tb.compile(
            row.build(), row.vocab, row.max_seq_len, causal=row.causal, check=0
        )
        yield row.name, compiled, row.sequences(2 * EXAMPLES, seed=0)


def pairs_of(compiled, sequences):
    """The first half of the sequences, with the second half as counterparts."""
    ids = [compiled.encode([compiled.bos, *s]) for s in sequences]
    half = len(ids) // 2
    clean, corrupted = jnp.asarray(ids[:half]), jnp.asarray(ids[half : 2 * half])
    zero = jnp.zeros((half, 1), jnp.int32)
    return Pairs(clean, corrupted, zero, zero + 1, {"end": zero[:, 0]})


def of_one_shape(models):
    """The models with zeros up to the largest of each size: one compiled program."""
    configs = [m.config for m in models]
    sizes = ("d_vocab", "d_vocab_out", "n_layers", "n_heads", "d_head", "d_mlp")
    largest = lambda name: max(
        getattr(c.sizes, name, None) or getattr(c, name) for c in configs
    )
    config = dataclasses.replace(
        configs[0],
        **{name: largest(name) for name in (*sizes, "d_model")},
        n_kv_heads=None,
        attention_scale=1.0,
    )
    empty = eqx.filter_eval_shape(Transformer, config, key=jax.random.key(0))

    def padded(model):
        scale = model.config.sizes.attention_scale
        queries = lambda m: [m.blocks.attn.W_Q, m.blocks.attn.b_Q]
        model = eqx.tree_at(queries, model, [scale * x for x in queries(model)])
        fill = lambda x, to: jnp.pad(
            x, [(0, n - o) for o, n in zip(x.shape, to.shape, strict=True)]
        )
        leaves = map(fill, jax.tree.leaves(model), jax.tree.leaves(empty))
        return jax.tree.unflatten(jax.tree.structure(empty), leaves)

    return [padded(model) for model in models]


def own_edges(config, graph):
    """Which edges of the larger graph are those of the program's own model."""
    small = circuits.graph(config, positions=True)
    own = np.isin(graph.sources, small.sources)[:, None]
    return graph.exists & own & np.isin(graph.destinations, small.destinations)


def auroc(score, true):
    """How often a true edge is above another; half where they are equal."""
    above = score[true][:, None] - score[~true]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def sizes(scores):
    """The largest size of each edge's score in any example."""
    return np.abs(np.asarray(scores.values)).max(axis=0)


def compare(name, config, model, pairs, methods):
    """Ablation and method -> AUROC, with a line for each that is not perfect."""
    asked = {"objective": Agreement(model), "positions": True, "per_example": True}
    # Of the objective itself: where nothing has an effect, the largest is rounding.
    scale = float(jnp.square(model(pairs.clean))[:, 1:].sum(axis=(1, 2)).mean())
    found = {}
    for ablation in ABLATIONS:
        exact = circuits.patch(model, pairs, ablation=ablation, **asked)
        own = own_edges(config, exact.graph)
        effect = sizes(exact)[own]
        true = effect > 100 * np.finfo(np.float32).eps * scale
        if true.all() or not true.any():
            continue
        for method in methods:
            scores = circuits.attribute(
                model, pairs, method, ablation=ablation, **asked
            )
            score = sizes(scores)[own]
            found[ablation, method] = auroc(score, true)
            if found[ablation, method] < 1:
                miss(name, ablation, method, scores.graph, own, score, effect, true)
    return found


def miss(name, ablation, method, graph, own, score, effect, true):
    """A line about a program that is not ranked perfectly."""
    label = lambda s, d: f"{graph.sources[s]}->{graph.destinations[d]}"
    names = np.array([label(s, d) for s, d in np.argwhere(own)])
    lowest = score[true].min()
    behind = true & (score <= score[~true].max())
    report(
        f"circuits_truth/{name}",
        ablation=ablation,
        method=method,
        auroc=round(auroc(score, true), 4),
        true=int(true.sum()),
        edges=len(true),
        silent=names[true & (score <= 1e-6 * score.max())].tolist(),
        behind={
            n: f"{e:.2g}"
            for n, e in zip(names[behind], effect[behind] / effect.max(), strict=True)
        },
        false=names[~true & (score > lowest) & (score > 1e-6 * score.max())].tolist()[
            :8
        ],
    )


def run(programs, methods):
    """AUROCs of all programs, those of one kind of shape in one compiled program."""
    kind = lambda p: (p[1].max_seq_len, p[1].model.config.causal)
    found = []
    for _, group in itertools.groupby(sorted(programs, key=kind), key=kind):
        names, compiled, sequences = zip(*group, strict=True)
        models = of_one_shape([c.model for c in compiled])
        for name, c, model, some in zip(
            names, compiled, models, sequences, strict=True
        ):
            pairs = pairs_of(c, some)
            found.append(compare(name, c.model.config, model, pairs, methods))
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--random", type=int, default=50)
    parser.add_argument("--packaged", type=int, default=len(PROGRAMS))
    parser.add_argument(
        "--methods", nargs="+", default=["eap", "eap_ig_inputs", "clean_corrupted"]
    )
    asked = parser.parse_args()
    groups = {
        "packaged": list(packaged_programs(asked.packaged)),
        "random": random_programs(asked.random),
    }
    for group, programs in groups.items():
        results = run(programs, asked.methods) if programs else []
        for key in itertools.product(ABLATIONS, asked.methods):
            values = np.array([r[key] for r in results if key in r])
            if len(values):
                report(
                    f"circuits_truth/{group}, {key[0]}, {key[1]}",
                    programs=len(values),
                    median_auroc=round(float(np.median(values)), 4),
                    lowest=round(float(values.min()), 4),
                    perfect=int((values == 1).sum()),
                )
