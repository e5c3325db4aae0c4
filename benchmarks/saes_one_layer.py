"""A one-layer model's dictionary: the reference recipe in PyTorch, and ours.

    python benchmarks/saes_one_layer.py TEXT --peer PYTHON [--steps 2000] [--folder F]

Trains a one-layer model on the bytes of TEXT, writes what its MLP's neurons do, trains
a dictionary of them by the reference recipe (`saes_one_layer_peer.py`, an interpreter
with torch) and, at the L0 that this came to, ours on the same file: `standard`, whose
coefficient is moved until L0 is met, and `topk`. Prints a JSON line for each: L0, the
cross-entropy recovered against zeros and against the mean, the raw values, and shares
of latents that are dead (on no token) and of ultra-low density (below 1e-4).
"""

import argparse
import dataclasses
import json
import pathlib
import subprocess
import tempfile
import time

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from jaxcirc import saes
from jaxcirc.checkpoints import open_trajectory
from jaxcirc.models import TransformerConfig, capture
from jaxcirc.tasks import TASKS
from jaxcirc.training import Training, train

SITE, LATENTS, BATCH = "blocks.0.mlp.hook_post", 1024, 1024
# The first byte of a window has nothing before it.
SKIP, EXAMPLES, ROWS = 1, 512, 400_000


def one_layer(text, folder, steps):
    """A trained one-layer model, and its task."""
    row = next(row for row in TASKS if row.name == "text")
    task = row.build(paths=[text], n_ctx=64)
    config = TransformerConfig(
        d_vocab=task.d_vocab, n_ctx=64, n_layers=1, d_model=64, n_heads=4, d_mlp=256
    )
    how = Training(
        steps=steps, batch_size=32, learning_rate=2e-3, warmup=50, decay="cosine",
        checkpoints="linear", every=steps,
    )  # fmt: skip
    train(config, task, how, folder)
    return open_trajectory(f"{folder}/seed_0").load(steps), task


def activations(model, task):
    """What the neurons do on train windows, in order, without the first positions."""

    @jax.jit
    def of(model, key):
        tokens = task.sample(512, key=key).tokens
        x = capture(model, tokens, (SITE,))[1][SITE][:, SKIP:]
        return x.reshape(-1, x.shape[-1])

    each = 512 * (64 - SKIP)
    keys = jr.split(jr.key(7), -(-ROWS // each))
    return np.concatenate([np.asarray(of(model, key)) for key in keys])[:ROWS]


def by_reference(python, file, steps, l1):
    """The dictionary of the recipe, and its seconds."""
    script = pathlib.Path(__file__).parent / "saes_one_layer_peer.py"
    out = f"{file}.npz"
    begun = time.perf_counter()
    subprocess.run(
        [python, script, file, out, "--latents", str(LATENTS), "--steps", str(steps),
         "--batch", str(BATCH), "--l1", str(l1)],
        check=True, capture_output=True,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    made = np.load(out)
    like = saes.Standard(d_in=made["W_enc"].shape[0], d_sae=LATENTS).init(jr.key(0))
    names = ("W_enc", "b_enc", "W_dec", "b_dec")
    given = {name: jnp.asarray(made[name]) for name in names}
    return dataclasses.replace(like, **given), seconds


def by_us(config, file, steps, rate, target_l0=None):
    """Our dictionary of the same file, and its seconds."""
    passes = -(-steps * BATCH // ROWS)
    how = saes.Training(
        steps=steps, batch_size=BATCH, passes=passes, learning_rate=rate,
        target_l0=target_l0,
    )  # fmt: skip
    begun = time.perf_counter()
    made = saes.train(config, None, None, file, how, key=jr.key(1))
    return made.dictionary, time.perf_counter() - begun


def row(name, dictionary, model, task, seconds):
    """What is printed of a dictionary."""
    found = saes.evaluate(
        dictionary, model, SITE, task, skip=SKIP, n_examples=EXAMPLES, key=jr.key(3)
    )
    density, lost = np.asarray(found.firing.density), found.recovered
    numbers = {
        "l0": found.firing.l0,
        "ce_recovered_zero": lost.ce_score(),
        "ce_recovered_mean": lost.ce_score("mean"),
        "ce": lost.ce,
        "ce_clean": lost.ce_clean,
        "ce_zero": lost.ce_zero,
        "ce_mean": lost.ce_mean,
        "fvu": found.reconstruction.fvu,
        "dead": (density == 0).mean(),
        "ultra_low": (density < 1e-4).mean(),
        "seconds": seconds,
    }
    rounded = {key: round(float(np.ravel(x)[0]), 4) for key, x in numbers.items()}
    return json.dumps({"case": name, **rounded})


def main():
    """A line for the recipe and one for each of ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text")
    parser.add_argument("--peer", required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--folder", help="kept, so that a second call goes on from it")
    parser.add_argument("--l1", type=float, default=3e-4 * 4096 / BATCH)
    parser.add_argument("--rate", type=float, default=1e-3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as emptied:
        folder = given.folder or emptied
        model, task = one_layer(given.text, folder, 800)
        file = f"{folder}/activations.npy"
        if not pathlib.Path(file).exists():
            np.save(file, activations(model, task))
        theirs, seconds = by_reference(given.peer, file, given.steps, given.l1)
        print(row("reference", theirs, model, task, seconds), flush=True)
        x = jnp.asarray(np.load(file)[:20_000])
        l0 = float((theirs.encode(x) > 0).sum(-1).mean())
        width = x.shape[1]
        standard = saes.Standard(d_in=width, d_sae=LATENTS)
        topk = saes.TopK(d_in=width, d_sae=LATENTS, k=max(round(l0), 1))
        for name, config, target in (("standard", standard, l0), ("topk", topk, None)):
            ours, seconds = by_us(config, file, given.steps, given.rate, target)
            print(row(name, ours, model, task, seconds), flush=True)


if __name__ == "__main__":
    main()
