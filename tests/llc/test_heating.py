"""What step size and minibatch noise add to an estimate, as the estimate tells it."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import llc
from jaxcirc.llc import Status

CURVATURE = np.array([1.0, 0.3, 0.1, 0.0, 0.0], np.float32)
T = 100.0
OPTIONS = {"num_chains": 8, "num_draws": 500, "steps_between_draws": 8}
OPTIONS |= {"num_burnin": 2000, "key": jr.key(0)}
ONE = jnp.zeros(1)


def quadratic(w, x):
    return (jnp.asarray(CURVATURE) * w**2).sum() / 2 + 0 * x


def at(step_size: float) -> float:
    return llc.truth.quadratic(CURVATURE, n_beta=T, gamma=1.0, step_size=step_size)


@pytest.mark.parametrize("step_size", [1e-3, 1e-2, 2e-2])
def test_heating_is_what_the_step_size_adds_on_a_quadratic(step_size):
    found = llc.estimate(
        quadratic, jnp.zeros(5), ONE, llc.SGLD(step_size, n_beta=T), **OPTIONS
    )
    added = at(step_size) - at(0.0)
    assert found.heating == pytest.approx(added, rel=0.1)
    assert abs(found.corrected - at(0.0)) < 4 * found.standard_error
    assert (found.status is Status.HEATED) == (added > 0.1 * at(step_size))


def test_heat_in_directions_that_the_loss_does_not_see_is_not_counted():
    """Localisation moves two thousand flat directions, and the loss a single one."""

    def loss(w, x):
        return w[0] ** 2 / 2 + 0 * x

    gamma, step_size = 300.0, 1e-3
    exact = lambda step: llc.truth.quadratic(
        np.array([1.0]), n_beta=T, gamma=gamma, step_size=step
    )
    sampler = llc.SGLD(step_size, n_beta=T, gamma=gamma)
    found = llc.estimate(loss, jnp.zeros(2000), ONE, sampler, **OPTIONS)
    assert found.heating == pytest.approx(exact(step_size) - exact(0.0), rel=0.15)
    assert abs(found.corrected - exact(0.0)) < 4 * found.standard_error


def noisy(w, x):
    """The gradient of each example is that of the mean loss and x besides."""
    return quadratic(w, 0 * x[:, 0]) + x @ w


@pytest.mark.parametrize("sampler", [llc.SGLD(3e-3, T), llc.RMSpropSGLD(3e-4, T)])
def test_noise_of_minibatches_is_part_of_it(sampler):
    data = jr.normal(jr.key(1), (512, 5)) * 0.5
    data = data - data.mean(axis=0, keepdims=True)
    found = llc.estimate(
        noisy, jnp.zeros(5), data, sampler, batch_size=4, initial_loss=0.0, **OPTIONS
    )
    assert found.status is Status.HEATED
    assert found.heating > 0.15 * found.value
    # The noise is the same in all directions, and half of the heat in those that the
    # loss does not see: what is left after the correction is no more than the truth.
    assert found.corrected < at(0.0) + 4 * found.standard_error


@pytest.mark.parametrize("batch_size", [None, 4])
def test_momentum_tells_the_heat_of_minibatches(batch_size):
    data = jr.normal(jr.key(1), (512, 5)) * 0.5
    data = (data - data.mean(axis=0, keepdims=True)) * jnp.sign(CURVATURE)[None]
    found = llc.estimate(
        noisy,
        jnp.zeros(5),
        data,
        llc.SGHMC(0.05, T, friction=2.0),
        batch_size=batch_size,
        initial_loss=0.0,
        **OPTIONS,
    )
    error = 4 * found.standard_error
    # With full batches the positions are exact at every step size.
    assert (found.status is Status.HEATED) == (batch_size is not None)
    assert (found.value > at(0.0) + error) == (batch_size is not None)
    assert found.corrected == pytest.approx(at(0.0), abs=error + 0.1 * found.heating)


def test_a_degenerate_model_cannot_hide_a_hot_step():
    """Five of forty coordinates matter, so λ̂ stays far below d/2 however hot it is."""

    def loss(w, x):
        return (w[:5] ** 2).sum() / 2 + 0 * x

    sampler = llc.SGLD(1e-2, n_beta=T)
    found = llc.estimate(loss, jnp.zeros(40), ONE, sampler, **OPTIONS)
    assert found.status is Status.HEATED
    assert "lower `step_size`" in found.sentence
    assert found.corrected == pytest.approx(2.475, rel=0.05)
    assert f"heated by {found.heating:.2g}" in repr(found)


def test_samplers_that_test_have_none_and_a_thermostat_cannot_tell():
    for sampler in (llc.MALA(1e-2, T), llc.HMC(0.05, T, num_leapfrog=4)):
        found = llc.estimate(quadratic, jnp.zeros(5), ONE, sampler, **OPTIONS)
        assert found.heating == 0
        assert found.corrected == found.value
    found = llc.estimate(quadratic, jnp.zeros(5), ONE, llc.SGNHT(0.05, T), **OPTIONS)
    assert np.isnan(found.heating)
    assert found.corrected == found.value
    low, high = found.interval()
    assert low < found.value < high


@pytest.mark.optimized
@pytest.mark.parametrize(
    "step_size", [pytest.param(3e-4, marks=pytest.mark.slow), 1e-3]
)
def test_the_interval_knows_of_heating_where_the_loss_is_no_quadratic(step_size):
    def crossing(w, x):
        return w[0] ** 2 * w[1] ** 2 + 0 * x

    t = 579.06
    exact = llc.truth.normal_crossing_at((1, 1), n_beta=t)
    found = llc.sweep(
        crossing,
        jnp.zeros(2),
        ONE,
        llc.SGLD(step_size, n_beta=t),
        seeds=range(40),
        num_chains=4,
        num_draws=1000,
        steps_between_draws=20,
        num_burnin=4000,
        strategy="vmap",
        key=jr.key(3),
    ).estimates
    covered = [e.interval()[0] <= exact <= e.interval()[1] for e in found]
    bare = [abs(e.value - exact) <= 1.96 * e.standard_error for e in found]
    # 40 repeats of a 95% interval: fewer than 33 in one of 10,000 cases.
    assert sum(covered) >= 33
    assert sum(covered) >= sum(bare)


def test_half_precision_weights_are_sampled_as_wide_ones():
    w = jr.normal(jr.key(2), (5,)).astype(jnp.bfloat16)

    def loss(w, x):
        return ((w - jnp.ones(5)) ** 2).sum() / 2 + 0 * x

    options = OPTIONS | {"num_draws": 50, "num_burnin": 50}
    wide, narrow = (
        llc.estimate(loss, x, ONE, llc.SGLD(1e-3, n_beta=T), **options)
        for x in (w.astype(jnp.float32), w)
    )
    np.testing.assert_array_equal(wide.trace, narrow.trace)


def test_weights_that_are_too_large_for_their_steps_are_told():
    w = jnp.array([0.0, 0.0, 0.0, 1e8])

    def loss(v, x):
        return ((v - w) ** 2).sum() / 2 + 0 * x

    found = llc.estimate(loss, w, ONE, llc.SGLD(1e-4, n_beta=T), **OPTIONS)
    assert found.moved == 0.75
    assert found.status is Status.TRANSIENT
    assert "25% of the sampled weights have not moved" in found.sentence
