"""Deep linear networks against their exact coefficients, one JSON line a network.

    python benchmarks/llc_deep_linear.py hmc 40 > docs/results/deep_linear_hmc.jsonl

Networks of 2 to 6 layers, widths 5 to 50, every layer reduced to the rank of the whole.
HMC runs in float64 at two temperatures, whose extrapolation is reported beside the
estimate at the higher one; the others in float32 with the step size that `calibrate`
proposes.
"""

import json
import sys
import time

import jax

SAMPLER, NUMBER = sys.argv[1], int(sys.argv[2])
LAYERS = tuple(map(int, sys.argv[3].split("-"))) if len(sys.argv) > 3 else (2, 6)
WIDTH = tuple(map(int, sys.argv[4].split("-"))) if len(sys.argv) > 4 else (5, 50)
if SAMPLER == "hmc":
    jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
import jax.random as jr  # noqa: E402
import numpy as np  # noqa: E402
import scipy.stats  # noqa: E402
from _harness import report  # noqa: E402

from jaxcirc import llc  # noqa: E402
from jaxcirc.llc import conformance  # noqa: E402

SETTINGS = {
    "hmc": (llc.HMC(1.0, num_leapfrog=60), (1e4, 1e5), 20_000, jnp.float64),
    "sgld": (llc.SGLD(1.0), (3e3,), 60_000, jnp.float32),
    "rmsprop_sgld": (llc.RMSpropSGLD(1.0), (3e3,), 60_000, jnp.float32),
    "sghmc": (llc.SGHMC(1.0, friction=3.0), (3e3,), 60_000, jnp.float32),
}


def main():
    sampler, n_betas, gradients, dtype = SETTINGS[SAMPLER]
    rows = []
    stacks = [
        conformance.random_deep_linear(
            NUMBER,
            layers=LAYERS,
            width=WIDTH,
            n_beta=t,
            gradients=gradients,
            dtype=dtype,
        )
        for t in n_betas
    ]
    for families in zip(*stacks, strict=True):
        began = time.monotonic()
        scores = [
            conformance.run(sampler, families=[f], key=jr.key(0)).scores[0]
            for f in families
        ]
        last = scores[-1]
        row = {
            "sampler": SAMPLER,
            "network": last.case,
            "parameters": sum(x.size for x in jax.tree.leaves(families[0].params)),
            "exact": last.truth,
            "found": round(last.value, 4),
            "standard_error": round(last.standard_error, 4),
            "error": round(last.error, 5),
            "status": last.status,
            "gradients_per_chain": last.gradients,
            "seconds": round(time.monotonic() - began, 1),
        }
        if len(scores) > 1:
            limit = llc.extrapolate(
                n_betas,
                [s.value for s in scores],
                [s.standard_error for s in scores],
            )
            row["extrapolated_error"] = round(limit.value / last.truth - 1, 5)
        rows.append(row)
        print(json.dumps(row), flush=True)
    found = np.array([(r["found"], r["exact"]) for r in rows])
    errors = np.abs([r["error"] for r in rows])
    report(
        f"deep_linear/{SAMPLER}",
        networks=len(rows),
        n_betas=n_betas,
        median_error=round(float(np.median(errors)), 4),
        max_error=round(float(errors.max()), 4),
        rank_correlation=round(
            float(scipy.stats.spearmanr(found[:, 0], found[:, 1]).statistic), 5
        ),
    )


if __name__ == "__main__":
    main()
