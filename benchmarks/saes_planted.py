"""Planted dictionaries: how many of 512 known features in 128 dimensions are found.

    python benchmarks/saes_planted.py [topk batchtopk jumprelu ...] [--seeds 1]

Features fire by Zipf's law, 12 of them on a token in the mean; 20 pairs are correlated,
and 16 parents have four children each, one of which fires on four tokens of five that
their parent is on. Each architecture is trained on 2,000 batches of 512, with 768
latents, since nobody who trains a dictionary knows the number of features, and all
other settings as they are by default. Prints a JSON line for each: the MCC over all
features, one without a latent counting 0, and the same over groups of them. `oracle`
has the true directions as encoder and decoder, and shows what a linear encoder can make
of them; `random` are as many random directions.
"""

import argparse
import json
import time
import warnings

import equinox as eqx
import jax.random as jr
import numpy as np

from jaxcirc import saes

N, D, LATENTS, L0 = 512, 128, 768, 12.0
PARENTS, PAIRS, CHILDREN = 16, 20, 4
STEPS, BATCH = 2000, 512

CASES = {
    "topk": saes.TopK(d_in=D, d_sae=LATENTS, k=12),
    "batchtopk": saes.BatchTopK(d_in=D, d_sae=LATENTS, k=12),
    "jumprelu": saes.JumpReLU(d_in=D, d_sae=LATENTS, target_l0=L0),
}


def planted(seed):
    """The features, which a seed decides."""
    return saes.planted(
        N, D, l0=L0, n_pairs=PAIRS, n_parents=PARENTS, n_children=CHILDREN,
        key=jr.key(seed),
    )  # fmt: skip


def trained(name, truth, seed, steps=STEPS):
    """A dictionary, and the seconds that it took."""
    training = saes.Training(steps=steps, batch_size=BATCH)
    begun = time.perf_counter()
    made = saes.train(CASES[name], None, None, truth, training, key=jr.key(seed + 1))
    return made.dictionary, time.perf_counter() - begun


def untrained(name, truth, seed):
    """The true directions, or random ones, behind a top-k."""
    made = saes.TopK(d_in=D, d_sae=N, k=12).init(jr.key(seed + 1))
    if name == "random":
        return made
    rows = truth.directions
    return eqx.tree_at(lambda d: (d.W_enc, d.W_dec), made, (rows.T, rows))


def row(name, truth, dictionary, seed):
    """What is printed of a dictionary."""
    found = saes.recovery(dictionary, truth, n=8192, key=jr.key(seed + 2))
    cosine = np.abs(found.directions.cosine)
    alone = slice(PARENTS + 2 * PAIRS, N - PARENTS * CHILDREN)
    groups = {
        "parents": cosine[:PARENTS],
        "children": cosine[-PARENTS * CHILDREN :],
        "pairs": cosine[PARENTS : PARENTS + 2 * PAIRS],
        "independent": cosine[alone],
        "rarest_100": cosine[alone][-100:],
    }
    numbers = {
        "mcc": found.directions.mcc,
        **{group: cosines.mean() for group, cosines in groups.items()},
        "found_at_0.9": (cosine >= 0.9).mean(),
        "l0": found.firing.l0,
        "l0_true": found.l0,
        "f1": np.nanmean(found.detection.f1),
        "fvu": found.reconstruction.fvu,
        "unused": found.firing.dead_share,
    }
    rounded = {key: round(float(value), 4) for key, value in numbers.items()}
    return {"case": name, "seed": seed, **rounded}


def main():
    """A line for each case and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*CASES, "oracle", "random"]
    parser.add_argument("cases", nargs="*", default=names)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore", saes.SparsityWarning)
    for seed in range(options.seeds):
        truth = planted(seed)
        for name in options.cases:
            seconds = None
            if name in CASES:
                dictionary, seconds = trained(name, truth, seed)
            else:
                dictionary = untrained(name, truth, seed)
            line = row(name, truth, dictionary, seed)
            if seconds is not None:
                line["seconds"] = round(seconds, 1)
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
