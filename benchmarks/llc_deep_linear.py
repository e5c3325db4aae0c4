"""Deep linear networks against their exact coefficients, one JSON line a network.

    python benchmarks/llc_deep_linear.py hmc 40 > docs/results/deep_linear_hmc.jsonl

Networks of 2 to 6 layers, widths 5 to 50, every layer reduced to the rank of the whole;
other ranges, and only some of them by number, with 2-6 5-50 0,3,17 as further words.
HMC runs in float64, the others in float32 with the step size that `calibrate` proposes.
Where theory says that the multiplicity is above 1, HMC also runs at a tenth of n_beta,
and the extrapolation to the limit is reported if its slope is twice its error.
"""

import json
import sys
import time

import jax

SAMPLER, NUMBER = sys.argv[1], int(sys.argv[2])
LAYERS = tuple(map(int, sys.argv[3].split("-"))) if len(sys.argv) > 3 else (2, 6)
WIDTH = tuple(map(int, sys.argv[4].split("-"))) if len(sys.argv) > 4 else (5, 50)
ONLY = list(map(int, sys.argv[5].split(","))) if len(sys.argv) > 5 else range(NUMBER)
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
    "hmc": (llc.HMC(1.0, num_leapfrog=60), 1e5, 20_000, jnp.float64),
    "sgld": (llc.SGLD(1.0), 1e3, 60_000, jnp.float32),
    "rmsprop_sgld": (llc.RMSpropSGLD(1.0), 1e3, 60_000, jnp.float32),
    "sghmc": (llc.SGHMC(1.0, friction=3.0), 1e3, 60_000, jnp.float32),
}


def main():
    sampler, n_beta, gradients, dtype = SETTINGS[SAMPLER]
    families = conformance.random_deep_linear(
        NUMBER,
        layers=LAYERS,
        width=WIDTH,
        n_beta=n_beta,
        gradients=gradients,
        dtype=dtype,
    )
    rows = []
    for family in (families[i] for i in ONLY):
        # Every network is a program of its own, and compiled code is never unloaded.
        jax.clear_caches()
        began = time.monotonic()
        score = conformance.run(sampler, families=[family], key=jr.key(0)).scores[0]
        row = {
            "sampler": SAMPLER,
            "network": score.case,
            "parameters": sum(x.size for x in jax.tree.leaves(family.params)),
            "exact": score.truth,
            "found": round(score.value, 4),
            "standard_error": round(score.standard_error, 4),
            "error": round(score.error, 5),
            "status": score.status,
            "gradients_per_chain": score.gradients,
        }
        if SAMPLER == "hmc" and family.multiplicities[0] > 1:
            warm = family._replace(n_beta=n_beta / 10)
            other = conformance.run(sampler, families=[warm], key=jr.key(0)).scores[0]
            limit = llc.extrapolate(
                [n_beta / 10, n_beta],
                [other.value, score.value],
                [other.standard_error, score.standard_error],
            )
            if limit.slope > 2 * limit.slope_error:
                row["extrapolated_error"] = round(limit.value / score.truth - 1, 5)
        row["seconds"] = round(time.monotonic() - began, 1)
        rows.append(row)
        print(json.dumps(row), flush=True)
    found = np.array([(r["found"], r["exact"]) for r in rows])
    errors = np.abs([r["error"] for r in rows])
    report(
        f"deep_linear/{SAMPLER}",
        networks=len(rows),
        n_beta=n_beta,
        median_error=round(float(np.median(errors)), 4),
        max_error=round(float(errors.max()), 4),
        rank_correlation=round(
            float(scipy.stats.spearmanr(found[:, 0], found[:, 1]).statistic), 5
        ),
    )


if __name__ == "__main__":
    main()
