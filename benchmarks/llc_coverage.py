"""How often is the exact value inside the 95% interval? The table in docs/llc.md.

    python benchmarks/llc_coverage.py [REPEATS]

200 repeats of each case as seeds of one sweep, five minutes on one core. Exact values
are of the posterior at this n_beta and gamma = 1, without any step size: x²y² by
quadrature, rank 0 of a network with one hidden unit by an integral over one number,
since t K = t |a|² |b|² / 2 there, and a quadratic in closed form.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import scipy.integrate
import scipy.stats
from _harness import report

from jaxcirc import llc

ONE = jnp.zeros(1)
CURVATURE = np.logspace(0, -2, 12).astype(np.float32)


class Case(NamedTuple):
    """A loss with its exact value at `n_beta`, and the scale of stable steps there."""

    name: str
    loss_fn: Callable[..., Any]
    d: int
    n_beta: float
    exact: float
    stiffness: float


def crossing(w, x):
    return w[0] ** 2 * w[1] ** 2 + 0 * x


def quadratic(w, x):
    return (jnp.asarray(CURVATURE) * w**2).sum() / 2 + 0 * x


def one_unit(inputs: int) -> Callable[..., Any]:
    def loss(w, x):
        return (w[:inputs] ** 2).sum() * (w[inputs:] ** 2).sum() / 2 + 0 * x

    return loss


def one_unit_exact(inputs: int, outputs: int, t: float) -> float:
    """t E[K]: |a|² is χ² with `inputs` degrees, and that over b is a power."""
    density = scipy.stats.chi2(inputs).pdf
    half = outputs / 2

    def integral(power: float, with_excess: bool) -> float:
        # In ln u, since the smallest u that matters is 1 / t.
        def of(s: float) -> float:
            u = np.exp(s)
            return density(u) * u * (t * u if with_excess else 1) * (1 + t * u) ** power

        return scipy.integrate.quad(of, -40, 6, limit=500)[0]

    return half * integral(-half - 1, True) / integral(-half, False)


def cases() -> Iterator[Case]:
    for t in (100.0, 579.06, 1e4):
        exact = llc.truth.normal_crossing_at((1, 1), n_beta=t)
        yield Case(f"x²y², t = {t:g}", crossing, 2, t, exact, t)
    for m, n in ((2, 2), (4, 3)):
        exact = one_unit_exact(m, n, 500.0)
        yield Case(
            f"reduced rank {m}-1-{n}", one_unit(m), m + n, 500.0, exact, 2 * 500.0
        )
    exact = llc.truth.quadratic(CURVATURE, n_beta=500.0, gamma=1.0)
    yield Case("quadratic of 12", quadratic, 12, 500.0, exact, 500.0)


def samplers(case: Case) -> Iterator[tuple[llc.AbstractSampler, dict[str, int]]]:
    t, stiff = case.n_beta, case.stiffness
    langevin = {"num_draws": 1000, "steps_between_draws": 10, "num_burnin": 5000}
    # Without a test, steps are smaller and relaxation takes more of them.
    small = {"num_draws": 1000, "steps_between_draws": 30, "num_burnin": 30000}
    trajectories = {"num_draws": 500, "steps_between_draws": 1, "num_burnin": 200}
    yield llc.SGLD(0.2 / stiff, n_beta=t), small
    yield llc.MALA(0.5 / stiff, n_beta=t, target=0.8), langevin
    yield llc.MALA(0.5 / stiff, n_beta=t, target=0.574), langevin
    yield llc.HMC(0.5 / stiff**0.5, n_beta=t), trajectories


def main(repeats: int = 200) -> None:
    for case in cases():
        for sampler, options in samplers(case):
            found = llc.sweep(
                case.loss_fn,
                jnp.zeros(case.d),
                ONE,
                sampler,
                seeds=range(repeats),
                num_chains=4,
                strategy="vmap",
                key=jr.key(3),
                **options,
            )
            inside = np.array(
                [
                    low <= case.exact <= high
                    for low, high in (e.interval() for e in found.estimates)
                ]
            )
            converged = found.statuses == llc.Status.CONVERGED
            share = inside[converged].mean() if converged.any() else np.nan
            target = getattr(sampler, "target", None)
            report(
                "llc_coverage",
                problem=case.name,
                sampler=type(sampler).__name__ + (f" {target:g}" if target else ""),
                exact=round(case.exact, 4),
                mean=round(float(found.values.mean()), 4),
                converged=round(float(converged.mean()), 3),
                covers=round(float(share), 3),
                covers_all=round(float(inside.mean()), 3),
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
