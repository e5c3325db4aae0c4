import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import llc
from jaxcirc.llc import conformance, truth

from .._wide import double_precision
from .problems import ONE, W_ONLY, at_zero, quadratic, spectra

# Chains as users run them: most of their time is spent in steps, not in compiling.
pytestmark = pytest.mark.optimized
T = 100.0


def _over_spectra(sampler, h, grid=None, **options):
    found = llc.sweep(
        quadratic,
        at_zero(h),
        ONE,
        sampler,
        steps=list(range(len(h))),
        grid=grid,
        masks={"w": W_ONLY},
        num_chains=64,
        strategy="vmap",
        key=jr.key(0),
        **options,
    )
    return found.values.squeeze()


@pytest.mark.parametrize(
    ("number", "draws", "tolerance"),
    [(2, 250, 0.04), pytest.param(5, 1000, 0.02, marks=pytest.mark.slow)],
)
def test_sgld_has_the_exact_value_at_finite_step_size_and_localisation(
    number, draws, tolerance
):
    h = spectra(number, 6)
    grid = {"step_size": [2e-3, 1e-2], "gamma": [1.0, 20.0]}
    found = _over_spectra(
        llc.SGLD(1.0, n_beta=T),
        h,
        grid,
        num_draws=draws,
        num_burnin=4000,
        steps_between_draws=40,
    )
    errors = []
    for i, row in enumerate(h):
        for j, eps in enumerate(grid["step_size"]):
            for k, gamma in enumerate(grid["gamma"]):
                exact = truth.quadratic(row, n_beta=T, gamma=gamma, step_size=eps)
                errors.append(found[i, j, k] / exact - 1)
    # Of 20 spectra and settings, each has a sampling error of about half a per cent
    # after 1,000 draws, and of twice that after 250.
    assert len(errors) == 4 * number
    assert np.abs(errors).max() < tolerance


# Without a test of acceptance a step is small, and there are four times as many.
@pytest.mark.parametrize(
    ("sampler", "draws", "tolerance"),
    [
        pytest.param(llc.MALA(2e-3), 150, 0.08, id="MALA"),
        pytest.param(llc.MALA(2e-3), 500, 0.05, marks=pytest.mark.slow, id="MALA-all"),
        pytest.param(llc.SGLD(2e-4), 500, 0.05, marks=pytest.mark.slow, id="SGLD-all"),
    ],
)
def test_normal_crossings_by_quadrature(sampler, draws, tolerance):
    family = conformance.normal_crossings()
    n = 100 if sampler.full_batch else 400
    found = llc.sweep(
        family.loss_fn,
        family.params,
        ONE,
        sampler.with_numbers(n_beta=family.n_beta, step_size=sampler.step_size / 2),
        steps=list(range(9)),
        num_chains=64,
        num_draws=draws,
        num_burnin=100 * n,
        steps_between_draws=n,
        strategy="vmap",
        key=jr.key(1),
    )
    assert np.abs(found.values / family.truths - 1).max() < tolerance


def test_minibatch_noise_heats_sgld_as_the_formula_says_and_not_the_thermostat():
    # Loss ½ (w - x)² over x ~ N(0, s²): the gradient's noise does not depend on w.
    t, s, eps = 100.0, 0.3, 1e-2

    def loss(w, x):
        return (w - x) ** 2 / 2

    def run(sampler):
        return llc.estimate(
            loss,
            jnp.zeros(()),
            lambda key: s * jr.normal(key, (1,)),
            sampler,
            num_chains=64,
            num_draws=2000,
            num_burnin=2000,
            steps_between_draws=10,
            key=jr.key(0),
        ).value

    h = np.ones(1)
    exact = truth.quadratic(h, n_beta=t, gamma=1.0, step_size=eps, noise_variance=s**2)
    assert run(llc.SGLD(eps, t)) == pytest.approx(exact, rel=0.02)
    cool = truth.quadratic(h, n_beta=t, gamma=1.0)
    # The kinetic temperature is right; the positions are within a few per cent.
    heated = run(llc.SGHMC(0.02, t, friction=1.0)) / cool
    held = run(llc.SGNHT(0.02, t, friction=1.0)) / cool
    assert heated > 1.05
    assert held == pytest.approx(1.0, abs=0.04)


def test_rescaling_loss_and_temperature_changes_nothing():
    h = spectra(1, 4)[0]

    def run(scale):
        return llc.estimate(
            lambda w, x: scale * quadratic(w, x),
            at_zero(h),
            ONE,
            llc.SGLD(1e-3, n_beta=T / scale),
            mask=W_ONLY,
            num_chains=4,
            num_draws=50,
            num_burnin=50,
            key=jr.key(0),
        ).trace

    np.testing.assert_allclose(run(1.0), run(8.0), rtol=1e-4, atol=1e-5)


def test_an_orthogonal_change_of_coordinates_changes_nothing_but_the_draws():
    h = np.array([1.0, 0.3, 0.1])
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    H = jnp.asarray(rotation @ np.diag(h) @ rotation.T, jnp.float32)
    found = llc.estimate(
        lambda w, x: w @ H @ w / 2 + 0 * x,
        jnp.zeros(3),
        ONE,
        llc.SGLD(1e-2, n_beta=T),
        num_chains=64,
        num_draws=1000,
        num_burnin=2000,
        steps_between_draws=10,
        key=jr.key(0),
    )
    exact = truth.quadratic(h, n_beta=T, gamma=1.0, step_size=1e-2)
    assert found.value == pytest.approx(exact, rel=0.02)


def test_oracles_run_in_float64():
    with double_precision(True):
        found = llc.estimate(
            lambda w, x: (w**2).sum() / 2 + 0 * x,
            jnp.zeros(4, jnp.float64),
            jnp.zeros(1, jnp.float64),
            llc.HMC(1e-5, n_beta=1e10, num_leapfrog=8),
            observables={"w": lambda w: w},
            num_chains=8,
            num_draws=300,
            num_burnin=200,
            key=jr.key(0),
        )
    assert found.observed["w"].dtype == np.float64
    assert found.value == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: llc.SGLD(0.0), "`step_size` must be positive"),
        (lambda: llc.SGLD(1e-3, n_beta=-1.0), "`n_beta` must be positive"),
        (lambda: llc.SGLD(1e-3, gamma=-1.0), "`gamma` must be at least 0"),
        (lambda: llc.SGLD(1e-3, box=0.0), "`box` must be positive"),
        (lambda: llc.SGHMC(1e-3, friction=0.0), "`friction` must be positive"),
        (lambda: llc.HMC(1e-3, num_leapfrog=0), "`num_leapfrog` must be at least 1"),
        (lambda: llc.HMC(1e-3, jitter=1.5), r"`jitter` must be in \[0, 1\)"),
        (lambda: llc.MALA(1e-3, target=1.5), "an acceptance in"),
    ],
)
def test_numbers_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_sampler_without_a_step_is_refused_when_it_is_made():
    class Unfinished(llc.AbstractSampler):
        step_size: float = 1.0
        n_beta: float | None = None
        gamma: float = 1.0
        box: float | None = None

        def init(self, position, local, *, key):
            return position

        def position(self, state):
            return state

    with pytest.raises(TypeError, match="step"):
        Unfinished()
