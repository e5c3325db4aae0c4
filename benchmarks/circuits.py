"""Scores and masks beside the bare forwards and backwards that they need, in one run.

python benchmarks/circuits.py                        # three minutes on two cores
python benchmarks/circuits.py --only attribution
python benchmarks/circuits.py --only peers --eap-ig ENV/python --edges ENV/python

Peers are interpreters that have what `circuits_peer.py` asks for; the model and the
prompts have the same shape there, and take turns with ours.
"""

import argparse
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from _harness import Peer, interleave, report, spread

from jaxcirc import circuits
from jaxcirc.circuits._values import values_of
from jaxcirc.models import (
    EdgeMask,
    Replace,
    Transformer,
    TransformerConfig,
    capture,
    written,
)
from jaxcirc.objectives import LogitDifference
from jaxcirc.tasks import Pairs

STEPS, PROMPTS, LENGTH = 5, 16, 64
SMALL = {"d_vocab": 5000, "n_ctx": LENGTH, "n_layers": 4, "d_model": 256, "n_heads": 8}
GPT2 = {"d_vocab": 50257, "n_ctx": 64, "n_layers": 12, "d_model": 768, "n_heads": 12}


def made(shape):
    """A model like GPT-2 with random weights."""
    config = TransformerConfig(
        **shape, d_mlp=None, activation="gelu_tanh", norm="layer"
    )
    return Transformer(config, key=jr.key(0))


def pairs_of(model, n, length):
    """Random sequences, asked for an answer at the end."""
    tokens = jr.randint(jr.key(1), (2, n, length), 0, model.config.d_vocab)
    answers = jr.randint(jr.key(2), (n, 1), 0, model.config.d_vocab - 1)
    end = {"end": jnp.full(n, length - 1)}
    return Pairs(*tokens, answers, answers + 1, end)


@eqx.filter_jit
def bare_backward(model, pairs, runs):
    """Gradients by the embeddings of `runs` runs of all pairs, and nothing else."""
    many = jax.tree.map(lambda x: jnp.tile(x, (runs, *(1,) * (x.ndim - 1))), pairs)

    def total(embedding):
        line = Replace("embed", embedding, jnp.ones((1, 1, 1), bool))
        logits = model(many.clean, edits=(line,))
        return values_of(LogitDifference(), logits, many)[0].sum()

    with jax.default_matmul_precision("highest"):
        return jax.grad(total)(model.W_E[many.clean])


@eqx.filter_jit
def plain(model, tokens):
    """Logits."""
    with jax.default_matmul_precision("highest"):
        return model(tokens)


@eqx.filter_jit
def stream(model, tokens):
    """What a forward pass comes to before the logits, which scores do not need."""
    with jax.default_matmul_precision("highest"):
        return capture(model, tokens, ("logits.in",), loop="unrolled")[1]


@eqx.filter_jit
def masked(model, tokens, keep, instead):
    """Logits of a circuit."""
    with jax.default_matmul_precision("highest"):
        return model(tokens, edits=(EdgeMask(model, keep, instead),))


def ready(run, *arguments):
    """A call that ends when its result is there."""
    return lambda: jax.block_until_ready(run(*arguments))


def ratio(seconds, of, *to):
    """Median of one over the sum of the medians of others."""
    whole = sum(np.median(seconds[name]) for name in to)
    return round(float(np.median(seconds[of]) / whole), 3)


def attribution(repeats):
    """EAP-IG of all edges, beside two forwards and five forwards and backwards."""
    model = made(SMALL)
    pairs = pairs_of(model, PROMPTS, LENGTH)
    score = lambda method, **options: (
        circuits.attribute(model, pairs, method, batch_size=PROMPTS, **options).values
    )
    seconds = interleave(
        {
            "eap_ig": ready(functools.partial(score, "eap_ig_inputs", steps=STEPS)),
            "eap": ready(functools.partial(score, "eap")),
            "forward": ready(stream, model, pairs.clean),
            "backward_1": ready(bare_backward, model, pairs, 1),
            "backward_5": ready(bare_backward, model, pairs, STEPS),
        },
        repeats=repeats,
    )
    needs = ("forward", "forward", "backward_5")
    report(
        "circuits/eap_ig of 16 prompts, 4 layers",
        eap_ig_over_what_it_needs=ratio(seconds, "eap_ig", *needs),
        eap_over_what_it_needs=ratio(
            seconds, "eap", "forward", "forward", "backward_1"
        ),
        **{name: spread(taken) for name, taken in seconds.items()},
    )


def masks(repeats, batch=2):
    """A masked forward pass of the size of GPT-2 small, beside a plain one."""
    model = made(GPT2)
    tokens = pairs_of(model, batch, GPT2["n_ctx"]).clean
    instead = eqx.filter_jit(written)(model, tokens[::-1])
    exists = circuits.graph(model.config).exists
    keep = jnp.asarray(np.random.default_rng(0).random(exists.shape) < 0.5, jnp.float32)
    seconds = interleave(
        {
            "plain": ready(plain, model, tokens),
            "masked": ready(masked, model, tokens, keep, instead),
        },
        repeats=repeats,
    )
    report(
        "circuits/masked forward, GPT-2 small",
        masked_over_plain=ratio(seconds, "masked", "plain"),
        **{name: spread(taken) for name, taken in seconds.items()},
    )


def curve(repeats):
    """The faithfulness of ten sizes in one program, beside ten masked forwards."""
    model = made(SMALL)
    pairs = pairs_of(model, PROMPTS, LENGTH)
    family = circuits.nested(circuits.attribute(model, pairs, "eap"))
    instead = eqx.filter_jit(written)(model, pairs.corrupted)
    one = family[5].astype(jnp.float32)
    seconds = interleave(
        {
            "curve": ready(
                lambda: (
                    circuits.performance(
                        model, pairs, family, batch_size=PROMPTS
                    ).values
                )
            ),
            "masked": ready(masked, model, pairs.clean, one, instead),
        },
        repeats=repeats,
    )
    n = len(family)
    report(
        f"circuits/curve of {n} sizes, 4 layers",
        curve_over_masked_forwards=round(ratio(seconds, "curve", "masked") / n, 3),
        **{name: spread(taken) for name, taken in seconds.items()},
    )


def resampled(repeats):
    """Two hundred resamples of the scores, beside one attribution of each example."""
    model = made(SMALL)
    pairs = pairs_of(model, PROMPTS, LENGTH)
    score = lambda: circuits.attribute(
        model, pairs, "eap_ig_inputs", steps=STEPS, batch_size=PROMPTS, per_example=True
    )
    scores, key = score(), jr.key(3)
    seconds = interleave(
        {
            "attribution": ready(lambda: score().values),
            "bootstrap": ready(lambda: circuits.bootstrap(scores, 100, key=key)),
        },
        repeats=repeats,
    )
    report(
        "circuits/bootstrap of 200 resamples, 4 layers",
        bootstrap_over_attribution=ratio(seconds, "bootstrap", "attribution"),
        **{name: spread(taken) for name, taken in seconds.items()},
    )


def peers(repeats, eap_ig, edges):
    """EAP-IG of all edges beside its own code, and EAP beside TransformerLens."""
    model = made(SMALL)
    pairs = pairs_of(model, PROMPTS, LENGTH)
    score = lambda method, **options: (
        circuits.attribute(model, pairs, method, batch_size=PROMPTS, **options).values
    )
    runs = {
        "eap_ig": ready(functools.partial(score, "eap_ig_inputs", steps=STEPS)),
        "eap": ready(functools.partial(score, "eap")),
    }
    given = {"EAP-IG": (eap_ig, "eap_ig"), "TransformerLens": (edges, "edges")}
    for name, (python, workload) in given.items():
        if python:
            runs[name] = Peer(python, "circuits_peer.py", workload)
    seconds = interleave(runs, repeats=repeats, warmup=1)
    beside = {"EAP-IG": "eap_ig", "TransformerLens": "eap"}
    report(
        "circuits/peers, 16 prompts, 4 layers",
        over={
            name: ratio(seconds, name, own)
            for name, own in beside.items()
            if name in seconds
        },
        **{name: spread(taken) for name, taken in seconds.items()},
    )


if __name__ == "__main__":
    parts = (attribution, masks, curve, resampled)
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=[p.__name__ for p in (*parts, peers)])
    parser.add_argument("--eap-ig", help="an interpreter that has EAP-IG")
    parser.add_argument("--edges", help="an interpreter that has TransformerLens 4.3")
    asked = parser.parse_args()
    for part in parts:
        if asked.only in (None, part.__name__):
            part(asked.repeats)
    if asked.only == "peers" or asked.eap_ig or asked.edges:
        peers(asked.repeats, asked.eap_ig, asked.edges)
