"""Are estimates with calibrated settings right, or refused?

    python benchmarks/calibration.py [sgld mala hmc] [--kinds "quadratic" ...]

Twenty random problems of five kinds, with coefficients that are known: each is
calibrated and estimated with what was proposed, within 20,000 gradients a chain. A
result is `used` if the calibration found a plateau and expects chains of that length to
have the error of 2% that it is asked for, and the estimate is `converged`; it should
then be within 5% of the truth, which is that at the n_beta and gamma of the
problem where theory has it (quadratics, crossings, and ReLU networks, whose minima are
regular up to the scaling of each unit), and else the limit.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from _harness import report
from jax.flatten_util import ravel_pytree

from jaxcirc import llc
from jaxcirc.llc import conformance, truth

ONE = jnp.zeros(1)
SAMPLERS = {"sgld": llc.SGLD, "mala": llc.MALA, "hmc": llc.HMC}
PER_KIND = 4
GAMMA = 1.0


class Problem(NamedTuple):
    """A loss at w* with its coefficient."""

    kind: str
    loss: Callable[[Any, Any], jax.Array]
    w_star: Any
    n_beta: float
    exact: float


def quadratics() -> Iterator[Problem]:
    for seed in range(PER_KIND):
        rng = np.random.default_rng(seed)
        h = np.exp(rng.uniform(np.log(10.0 ** -(seed / 2 + 1)), 0, rng.integers(5, 40)))
        n_beta = float(10 ** rng.uniform(2.5, 4.5))
        exact = truth.quadratic(h, n_beta=n_beta, gamma=GAMMA)
        spectrum = jnp.asarray(h, jnp.float32)
        yield Problem(
            "quadratic",
            lambda w, x, h=spectrum: (h * w**2).sum() / 2 + 0 * x,
            jnp.zeros(len(h)),
            n_beta,
            exact,
        )


def crossings() -> Iterator[Problem]:
    for seed, powers in enumerate(((1, 1), (1, 2), (1, 0), (2, 1))):
        rng = np.random.default_rng(100 + seed)
        n_beta = float(10 ** rng.uniform(2, 4))
        yield Problem(
            "normal crossing",
            lambda w, x, k=powers: w[0] ** (2 * k[0]) * w[1] ** (2 * k[1]) + 0 * x,
            jnp.zeros(2),
            n_beta,
            truth.normal_crossing_at(powers, n_beta=n_beta, scale=GAMMA),
        )


def linear_networks() -> Iterator[Problem]:
    for depth, kind in ((2, "reduced rank"), (3, "deep linear")):
        rng, made, seed = np.random.default_rng(depth), 0, 0
        while made < PER_KIND:
            widths = rng.integers(3, 8, depth + 1).tolist()
            rank, seed = int(rng.integers(1, min(widths) + 1)), seed + 1
            found = truth.deep_linear(widths, rank)
            # With a multiplicity the limit is far off at any temperature.
            if found.multiplicity > 1:
                continue
            made += 1
            family = conformance.deep_linear(widths, rank, seed=seed)
            w_star = jax.tree.map(lambda x: x[0], family.params)
            yield Problem(kind, family.loss_fn, w_star, 1e4, found.value)


def relu_networks() -> Iterator[Problem]:
    for seed in range(PER_KIND):
        rng = np.random.default_rng(200 + seed)
        inputs, hidden = int(rng.integers(2, 5)), int(rng.integers(2, 5))
        x = jnp.asarray(rng.normal(size=(512, inputs)), jnp.float32)
        w_star = {
            "in": jnp.asarray(rng.normal(size=(inputs, hidden)), jnp.float32),
            "out": jnp.asarray(rng.choice([-1, 1], hidden), jnp.float32),
        }
        y = jax.nn.relu(x @ w_star["in"]) @ w_star["out"]

        def loss(w, example, x=x, y=y):
            return ((jax.nn.relu(x @ w["in"]) @ w["out"] - y) ** 2).mean() / 2 + (
                0 * example
            )

        flat, unravel = ravel_pytree(w_star)
        hessian = jax.hessian(lambda f, u=unravel, of=loss: of(u(f), ONE)[0])(flat)
        # The scalings of the units, which change no function.
        h = np.maximum(np.linalg.eigvalsh(np.asarray(hessian, np.float64)), 0)
        h[:hidden] = 0
        exact = truth.quadratic(h, n_beta=1e5, gamma=GAMMA)
        yield Problem("ReLU network", loss, w_star, 1e5, exact)


def problems() -> list[Problem]:
    return [*quadratics(), *crossings(), *linear_networks(), *relu_networks()]


def trial(problem: Problem, name: str, seed: int) -> dict[str, Any]:
    """Calibrate and estimate as a user would."""
    began = time.monotonic()
    settings = llc.calibrate(
        problem.loss,
        problem.w_star,
        ONE,
        SAMPLERS[name](1.0, n_beta=problem.n_beta, gamma=GAMMA),
        key=jr.key(seed),
    )
    found = llc.estimate(
        problem.loss,
        problem.w_star,
        ONE,
        settings.sampler,
        num_chains=4,
        **settings.options,
        key=jr.key(1000 + seed),
    )
    good = settings.plateau.found and settings.lengths.is_enough
    used = bool(good) and found.status == "converged"
    return {
        "exact": round(problem.exact, 4),
        "corrected": round(found.corrected, 4),
        "error": round(found.corrected / problem.exact - 1, 4),
        "used": used,
        "plateau": bool(settings.plateau.found),
        "status": str(found.status),
        "why": settings.plateau.sentence if not settings.plateau.found else "",
        "standard_error": round(found.standard_error / problem.exact, 4),
        "expected_error": round(settings.lengths.expected_error, 4),
        "predicted_shortfall": round(settings.predicted.shortfall, 4),
        "gradients_per_chain": settings.gradients,
        "seconds": round(time.monotonic() - began, 1),
    }


def run(names: list[str], kinds: list[str]) -> None:
    for name in names:
        errors: dict[str, list[tuple[bool, float]]] = {}
        for i, problem in enumerate(problems()):
            if kinds and problem.kind not in kinds:
                continue
            found = trial(problem, name, i)
            report(f"calibration/{name}/{problem.kind}/{i}", **found)
            errors.setdefault(problem.kind, []).append((found["used"], found["error"]))
            jax.clear_caches()
        for kind, each in errors.items():
            used = [abs(error) for yes, error in each if yes]
            print(
                f"| {name} | {kind} | {len(used)} of {len(each)} | "
                f"{sum(e <= 0.05 for e in used)} | {max(used, default=0):.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samplers", nargs="*")
    parser.add_argument("--kinds", nargs="*", default=[])
    options = parser.parse_args()
    run(options.samplers or list(SAMPLERS), options.kinds)
