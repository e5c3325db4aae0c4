"""Compiled programs beside tracr's own models, in one run.

    pip install 'jaxcirc[tracr]'
    python benchmarks/programs.py

Theirs: `compile_rasp_to_model`, and the haiku model it returns: jitted, and through
`apply`, which takes one sequence and is not. Both give the same answers before anything
is timed.
"""

import functools

import equinox as eqx
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from _harness import interleave, report, spread
from tracr.compiler import compiling

import tracr_bridge as tb

LENGTH, BATCH, VOCAB = 10, 1024, (0, 1, 2, 3, 4)
PROGRAMS = {"peak": tb.programs.peak, "dominant_peak": tb.programs.dominant_peak}


def their_compile(build, exactness):
    return compiling.compile_rasp_to_model(
        build(),
        set(VOCAB),
        LENGTH,
        compiler_bos="BOS",
        compiler_pad="PAD",
        mlp_exactness=exactness,
    )


def ratio(seconds, of, to):
    return round(float(np.median(seconds[of]) / np.median(seconds[to])), 3)


def compile_times(name, build):
    compiled = tb.compile(build(), VOCAB, LENGTH)
    exactness = compiled.exactness.mlp_exactness
    seconds = interleave(
        {
            "theirs": lambda: their_compile(build, exactness),
            "ours": lambda: tb.compile(build(), VOCAB, LENGTH, check=0),
            "ours, checked": lambda: tb.compile(build(), VOCAB, LENGTH),
        },
        repeats=5,
        warmup=1,
    )
    report(
        f"programs/compile {name}",
        ours_over_theirs=ratio(seconds, "ours", "theirs"),
        checked_over_theirs=ratio(seconds, "ours, checked", "theirs"),
        **{k.replace(", ", "_"): spread(v) for k, v in seconds.items()},
    )


def forwards(name, build):
    compiled = tb.compile(build(), VOCAB, LENGTH)
    assembled = their_compile(build, compiled.exactness.mlp_exactness)
    values = np.random.default_rng(0).integers(0, len(VOCAB), (BATCH, LENGTH))
    sequences = [["BOS", *map(int, row)] for row in values]
    ids = jnp.asarray(np.stack([compiled.encode(s) for s in sequences]))
    their_ids = jnp.asarray([assembled.input_encoder.encode(s) for s in sequences])
    np.testing.assert_array_equal(ids, their_ids)

    def whole(tokens):
        model = assembled.get_compiled_model()
        return model(tokens, use_dropout=False).transformer_output.output

    pure = hk.without_apply_rng(hk.transform(whole))
    jitted = jax.jit(functools.partial(pure.apply, assembled.params))
    run = eqx.filter_jit(lambda m, tokens: m(tokens))
    ours = functools.partial(run, compiled.model)
    some = sequences[:4]
    for sequence, row in zip(some, ids, strict=False):
        decoded = assembled.apply(sequence).decoded
        assert decoded[1:] == compiled.decode(ours(row[None])[0])[1:]
    seconds = interleave(
        {
            "haiku_jit": lambda: jax.block_until_ready(jitted(ids)),
            "ours": lambda: jax.block_until_ready(ours(ids)),
            "apply_4": lambda: [assembled.apply(s) for s in some],
            "ours_4": lambda: [jax.block_until_ready(ours(r[None])) for r in ids[:4]],
        },
        repeats=15,
        warmup=2,
    )
    each = ratio(seconds, "apply_4", "ours") * BATCH / len(some)
    report(
        f"programs/forward {name}",
        batch=BATCH,
        haiku_jit_over_ours=ratio(seconds, "haiku_jit", "ours"),
        apply_over_ours_one_by_one=ratio(seconds, "apply_4", "ours_4"),
        apply_over_ours_per_sequence=round(each, 1),
        **{k: spread(v) for k, v in seconds.items()},
    )


if __name__ == "__main__":
    for name, build in PROGRAMS.items():
        compile_times(name, build)
        forwards(name, build)
