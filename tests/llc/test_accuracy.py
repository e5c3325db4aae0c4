"""Values that theory gives, found to 5%: on samples of data, and on networks."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import llc
from jaxcirc.llc import Status, truth

ONE = jnp.zeros(1)


def regression(powers, n=1000, seed=0):
    """y = w1^k1 w2^k2 x + noise where there is nothing but noise: loss and data."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0, 2, n), rng.normal(0, 0.5, n)
    a, b = powers

    def loss(w, batch):
        x, y = batch
        return (y - w[0] ** a * w[1] ** b * x) ** 2

    return loss, (jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))


def exact(powers, data, t: float) -> float:
    """t (E[L] - L(0)) of this very sample at gamma = 1, by summing over a grid."""
    x, y = (np.asarray(z, float) for z in data)
    # Finer towards the axes, where everything happens.
    s = np.linspace(-1, 1, 4001)
    w = 6 * np.sign(s) * np.abs(s) ** 3
    weight = 3 * s**2 * np.exp(-(w**2) / 2)
    p = np.multiply.outer(w ** powers[0], w ** powers[1])
    excess = t * ((x * x).mean() * p**2 - 2 * (x * y).mean() * p)
    density = np.multiply.outer(weight, weight) * np.exp(-excess)
    return float((excess * density).sum() / density.sum())


@pytest.mark.slow
@pytest.mark.parametrize("powers", [(0, 1), (1, 1), (1, 2), (2, 2), (0, 3)])
def test_normal_crossings_of_a_sample(powers):
    loss, data = regression(powers)
    t = 1000 / np.log(1000)
    there = exact(powers, data, t)
    found = llc.estimate(
        loss,
        jnp.zeros(2),
        data,
        llc.HMC(0.02, num_leapfrog=30),
        num_chains=32,
        num_draws=2000,
        num_burnin=300,
        strategy="vmap",
        key=jr.key(0),
    )
    assert found.n_beta == pytest.approx(t)
    # Of the population's value: the noise of this sample may take away most of it.
    population = truth.normal_crossing_at(
        powers, n_beta=t * float((data[0] ** 2).mean())
    )
    assert found.value == pytest.approx(there, abs=0.05 * population)


def reduced_rank(inputs, hidden, outputs):
    """A network with one hidden layer, whose true map is 0: loss and weights."""

    def loss(p, x):
        return ((p["B"] @ p["A"]) ** 2).sum() / 2 + 0 * x

    return loss, {"A": jnp.zeros((hidden, inputs)), "B": jnp.zeros((outputs, hidden))}


@pytest.mark.slow
@pytest.mark.parametrize(
    "sizes", [(5, 3, 5), (5, 4, 5), (4, 3, 8), (8, 3, 4), (3, 8, 4)]
)
def test_reduced_rank_regression(sizes):
    loss, w = reduced_rank(*sizes)
    t = 1e5
    limit = truth.reduced_rank(*sizes, rank=0)
    found = llc.estimate(
        loss,
        w,
        ONE,
        llc.HMC(0.5 * t**-0.5, n_beta=t, num_leapfrog=50),
        num_chains=16,
        num_draws=600,
        num_burnin=300,
        strategy="vmap",
        key=jr.key(1),
    )
    there = limit.value - (limit.multiplicity - 1) / np.log(t)
    assert found.value == pytest.approx(there, rel=0.05)


@pytest.mark.slow
def test_a_restricted_model_is_the_smaller_one():
    """Two of four hidden units sampled: a network of two of them."""
    loss, w = reduced_rank(3, 4, 3)
    units = np.arange(4) < 2
    mask = {"A": units[:, None], "B": units[None]}
    small_loss, small = reduced_rank(3, 2, 3)
    options = {"num_chains": 16, "num_draws": 1000, "num_burnin": 300}
    options |= {"strategy": "vmap", "key": jr.key(2)}
    sampler = llc.HMC(0.02, n_beta=1e3, num_leapfrog=20)
    part = llc.estimate(loss, w, ONE, sampler, mask=mask, **options)
    whole = llc.estimate(small_loss, small, ONE, sampler, **options)
    assert part.dimension == whole.dimension == 12
    assert part.value == pytest.approx(whole.value, rel=0.05)


@pytest.mark.slow
def test_a_more_singular_place_has_the_lower_coefficient():
    """On x²y² the origin is a crossing, and a place on an axis a regular line."""

    def loss(w, x):
        return w[0] ** 2 * w[1] ** 2 + 0 * x

    t = 3e3
    found = llc.sweep(
        loss,
        jnp.array([[0.0, 0.0], [3.0, 0.0]]),
        ONE,
        llc.HMC(0.3 * t**-0.5, n_beta=t, gamma=10.0, num_leapfrog=30),
        steps=[0, 1],
        num_chains=32,
        num_draws=1000,
        num_burnin=300,
        strategy="vmap",
        key=jr.key(3),
    )
    origin, axis = found.values
    there = truth.normal_crossing_at((1, 1), n_beta=t, scale=10.0)
    assert origin == pytest.approx(there, rel=0.05)
    assert axis == pytest.approx(0.5, rel=0.05)
    assert found.sel(checkpoint=1).status is Status.CONVERGED
