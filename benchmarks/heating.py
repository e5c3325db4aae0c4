"""What `heating` finds, beside exact values: the table in docs/llc.md.

    python benchmarks/heating.py

On a CPU, half a minute. Exact values are of the posterior at this n_beta and gamma = 1,
with no step size in them.
"""

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from jaxcirc import llc

ONE = jnp.zeros(1)


def degenerate(w, x):
    return (w[:5] ** 2).sum() / 2 + 0 * x


def crossing(w, x):
    return w[0] ** 2 * w[1] ** 2 + 0 * x


def regression(w, batch):
    return (batch[0] @ w - batch[1]) ** 2 / 2


def told(name, found, exact):
    print(
        f"{name:44s} {found.value:7.4g} ± {found.standard_error:.2g}  heating "
        f"{found.heating:6.2g}  corrected {found.corrected:6.3f}  exact {exact:6.4g}  "
        f"{found.status}"
    )


def quadratics():
    exact = llc.truth.quadratic(np.r_[np.ones(5), np.zeros(35)], n_beta=100, gamma=1.0)
    for step_size in (1e-3, 1e-2, 3e-2):
        found = llc.estimate(
            degenerate,
            jnp.zeros(40),
            ONE,
            llc.SGLD(step_size, n_beta=100.0),
            num_chains=4,
            num_draws=1000,
            num_burnin=1000,
            steps_between_draws=5,
            key=jr.key(0),
        )
        told(f"quadratic, ε n_beta h = {100 * step_size:g}", found, exact)


def minibatches():
    rng, n = np.random.default_rng(0), 1000
    x = rng.normal(size=(n, 5))
    y = x @ np.arange(1, 6) + rng.normal(size=n)
    w = jnp.asarray(np.linalg.lstsq(x, y, rcond=None)[0], jnp.float32)
    data = (jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    exact = llc.truth.quadratic(
        np.linalg.eigvalsh(x.T @ x / n), n_beta=n / np.log(n), gamma=1.0
    )
    for sampler in (llc.SGLD(1e-3), llc.RMSpropSGLD(3e-3)):
        found = llc.estimate(
            regression,
            w,
            data,
            sampler,
            batch_size=8,
            num_chains=4,
            num_draws=1000,
            num_burnin=3000,
            steps_between_draws=5,
            key=jr.key(0),
        )
        told(f"regression, batches of 8, {type(sampler).__name__}", found, exact)


def crossings():
    t = 579.06
    exact = llc.truth.normal_crossing_at((1, 1), n_beta=t)
    for step_size in (3e-4, 1e-3):
        found = llc.estimate(
            crossing,
            jnp.zeros(2),
            ONE,
            llc.SGLD(step_size, n_beta=t),
            num_chains=8,
            num_draws=4000,
            num_burnin=4000,
            steps_between_draws=20,
            key=jr.key(0),
        )
        told(f"w₁²w₂², ε = {step_size:g}", found, exact)


if __name__ == "__main__":
    quadratics()
    minibatches()
    crossings()
