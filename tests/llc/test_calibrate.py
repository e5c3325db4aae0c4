import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxcirc import llc
from jaxcirc._core import lanczos
from jaxcirc.llc import conformance, truth

from .problems import ONE, W_ONLY, at_zero, quadratic, regression, spectra

NO_GAMMA = {"gamma": None}
# λ̂ over ε × n_beta, of a published notebook on modular addition with modulus 53.
PUBLISHED = np.array(
    [
        [0.068, 1.22, 19.5, 136, 80.6],
        [1.76, 26.5, 225, 236, 455],
        [3.98, 54.8, 322, 482, np.nan],
        [4.04, 58.7, 427, np.nan, np.nan],
        [6.77, 102, np.nan, np.nan, np.nan],
    ]
)
STEP_SIZES = [3e-5, 3e-4, 3e-3, 3e-2, 0.3]
N_BETAS = [0.264, 4.69, 83.4, 1483.0, 26381.0]


def test_lanczos_finds_eigenvalues_and_traces():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(30, 30)))[0]
    eigenvalues = np.linspace(-1, 5, 30)
    A = jnp.asarray(basis @ np.diag(eigenvalues) @ basis.T, jnp.float32)
    like = {"a": jnp.zeros(10), "b": jnp.zeros((4, 5))}
    _, unravel = ravel_pytree(like)

    def matvec(v):
        return unravel(A @ ravel_pytree(v)[0])

    found = lanczos(matvec, like, num_nodes=30, num_probes=200, key=jr.key(0))
    assert found.nodes.max() == pytest.approx(5.0, rel=1e-4)
    assert found.nodes.min() == pytest.approx(-1.0, rel=1e-3)
    np.testing.assert_allclose(found.weights.sum(axis=1), 1, rtol=1e-4)
    trace = 30 * float((found.weights * found.nodes).sum(axis=1).mean())
    assert trace == pytest.approx(eigenvalues.sum(), rel=0.05)
    exponential = 30 * float((found.weights * jnp.exp(-found.nodes)).sum(axis=1).mean())
    assert exponential == pytest.approx(np.exp(-eigenvalues).sum(), rel=0.05)


def test_lanczos_of_a_small_space_ends_in_nodes_of_no_weight():
    found = lanczos(
        lambda v: 2 * v, jnp.zeros(3), num_nodes=5, num_probes=1, key=jr.key(0)
    )
    assert found.nodes.max() == pytest.approx(2.0)
    assert float((found.weights * found.nodes).sum()) == pytest.approx(2.0)


def test_a_quadratic_gets_a_step_size_that_keeps_its_promise():
    # Within a factor of ten, and all of them stiffer than the localisation.
    h = spectra(1, 8)[0] ** (1 / 3)
    found = llc.calibrate(
        quadratic,
        at_zero(h),
        ONE,
        llc.SGLD(1.0, n_beta=500.0),
        mask=W_ONLY,
        bias=0.02,
        gamma=5.0,
        num_chains=16,
        max_steps=20_000,
        key=jr.key(0),
    )
    assert found.curvature.largest == pytest.approx(h.max(), rel=1e-3)
    assert found.curvature.trace == pytest.approx(h.sum(), rel=0.5)
    s = found.sampler
    exact = truth.quadratic(h, n_beta=500.0, gamma=5.0)
    biased = truth.quadratic(h, n_beta=500.0, gamma=5.0, step_size=s.step_size)
    assert biased / exact - 1 < 0.03
    assert found.predicted.discretization <= 0.02 + 1e-6
    # Two random probes weigh eight directions.
    assert found.predicted.quadratic_value == pytest.approx(exact, rel=0.05)
    limit = len(h) / 2
    assert found.predicted.localization == pytest.approx(1 - exact / limit, abs=0.05)
    assert found.predicted.shortfall < 1e-3
    assert found.plateau.found
    assert found.plateau.value == pytest.approx(exact, rel=0.1)
    estimate = llc.estimate(
        quadratic,
        at_zero(h),
        ONE,
        s,
        mask=W_ONLY,
        num_chains=16,
        **found.options,
        key=jr.key(1),
    )
    # Three of its own errors: one of sampling, and a third of what is corrected.
    error = np.hypot(estimate.standard_error, estimate.heating / 3)
    assert error < 0.03 * exact
    assert estimate.corrected == pytest.approx(exact, abs=3 * error)
    assert estimate.status == "converged"
    assert estimate.gradients == 16 * found.gradients <= 16 * 20_000
    assert "gamma takes" in repr(found)


def test_minibatch_noise_lowers_the_step_size():
    loss, w, data, _ = regression(noise=3.0)
    options = {"gamma": 1.0, "max_steps": 2000, "num_chains": 2, "key": jr.key(0)}
    noisy = llc.calibrate(loss, w, data, batch_size=4, **options)
    quiet = llc.calibrate(loss, w, data, **options)
    assert noisy.curvature.noise > 0
    assert quiet.curvature.noise == 0
    assert noisy.sampler.step_size < quiet.sampler.step_size / 2
    # What is estimated is the user's to say: gamma stays what it was.
    own = llc.calibrate(loss, w, data, llc.SGLD(1.0, gamma=3.0), **(options | NO_GAMMA))
    assert own.sampler.gamma == 3.0


def test_a_momentum_sampler_gets_a_time_step():
    loss, w, data, _ = regression()
    options = {"gamma": 1.0, "max_steps": 2000, "num_chains": 2, "key": jr.key(0)}
    sgld = llc.calibrate(loss, w, data, llc.SGLD(1.0), **options)
    sghmc = llc.calibrate(loss, w, data, llc.SGHMC(1.0), **options)
    assert sghmc.sampler.step_size**2 == pytest.approx(sgld.sampler.step_size, rel=0.2)


def test_one_setting_for_a_curve_names_what_it_does_not_suit():
    # Three alike, and one that is a thousand times as flat as steps for them allow.
    h = np.array([[1.0, 0.5], [0.9, 0.6], [0.8, 0.7], [1.0, 1e-4]])
    found = llc.calibrate(
        quadratic,
        {"w": jnp.zeros((4, 2)), "h": jnp.asarray(h, jnp.float32)},
        ONE,
        llc.SGLD(1.0, n_beta=1e4, gamma=0.1),
        steps=[0, 10, 20, 30],
        mask=W_ONLY,
        num_chains=8,
        max_steps=4000,
        key=jr.key(0),
    )
    assert found.misfits == (30,)
    assert found.fits[0].plateau.found
    assert found.worst is found.fits[30]
    assert "have not relaxed" in found.plateau.sentence
    assert "30" in repr(found)
    for step, row in zip(found.fits, h, strict=True):
        exact = truth.quadratic(row, n_beta=1e4, gamma=0.1)
        # Two random probes weigh two directions.
        value = found.fits[step].predicted.quadratic_value
        assert value == pytest.approx(exact, rel=0.1)
    with pytest.raises(ValueError, match="leading axis of 3 checkpoints"):
        llc.calibrate(
            quadratic,
            {"w": jnp.zeros((4, 2)), "h": jnp.asarray(h, jnp.float32)},
            ONE,
            steps=[0, 1, 2],
            key=jr.key(0),
        )


def test_a_grid_that_the_localisation_decides_has_no_plateau():
    # Curvatures over four decades: at every n_beta some are as stiff as gamma.
    h = np.logspace(-4, 0, 30)
    steps, betas = [0.25, 0.5, 1.0], [0.3, 1.0, 3.0]

    def grid(gamma):
        each = [truth.quadratic(h, n_beta=300 * f, gamma=gamma) for f in betas]
        return llc.find_plateau(np.array([each] * 3), steps, betas)

    decided = grid(5.0)
    assert not decided.found
    assert "localisation decides" in decided.sentence
    # The slope in n_beta is the share of λ that the next factor of gamma would take.
    assert decided.beta_slope > 0.1
    assert grid(1e-4).found


def test_noise_is_no_plateau():
    values = np.array([[1.0, 1.5], [1.5, 1.0]])
    known = llc.find_plateau(values, [1, 2], [1, 2], standard_errors=0.01 * values)
    hidden = llc.find_plateau(values, [1, 2], [1, 2], standard_errors=0.4 * values)
    assert not known.found
    assert not hidden.found


def test_the_published_grid_has_no_plateau():
    found = llc.find_plateau(PUBLISHED, STEP_SIZES, N_BETAS)
    assert not found.found
    assert np.isnan(found.value)
    assert "no plateau" in found.sentence
    assert found.beta_slope > 0.5
    # And much of it is above the loss of uniform guesses: ln 53 = 3.97.
    sampled = PUBLISHED / np.array(N_BETAS)
    assert (sampled[2:, :3] > np.log(53)).sum() >= 5


def test_a_network_on_that_grid_is_rejected_too():
    # The same shape of problem, with a step size far too large at every temperature.
    key = jr.key(0)
    x = jr.normal(key, (256, 5))
    y = (x[:, 0] * x[:, 1] > 0).astype(jnp.int32)
    params = {
        "a": jr.normal(jr.key(1), (5, 32)),
        "b": jr.normal(jr.key(2), (32, 2)),
    }

    def loss(p, batch):
        logits = jnp.tanh(batch[0] @ p["a"]) @ p["b"]
        log_p = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_p, batch[1][:, None], axis=1)[:, 0]

    grid = {"step_size": [3e-3, 3e-2, 0.3], "n_beta": [0.264, 4.69, 83.4]}
    found = llc.sweep(
        loss,
        params,
        (x, y),
        llc.SGLD(1.0, gamma=5.0),
        grid=grid,
        trivial_loss=float(np.log(2)),
        batch_size=128,
        num_chains=2,
        num_draws=100,
        num_burnin=50,
        key=key,
    )
    usable = found.statuses == llc.Status.CONVERGED
    plateau = llc.find_plateau(found.values, *grid.values(), usable=usable)
    assert not plateau.found


def test_a_true_plateau_is_found_with_its_value():
    steps, betas = np.array([1e-5, 3e-5, 1e-4]), np.array([30.0, 100.0, 300.0, 1e3])
    h = np.ones(6)
    values = np.array(
        [
            [truth.quadratic(h, n_beta=t, gamma=1.0, step_size=e) for t in betas]
            for e in steps
        ]
    )
    found = llc.find_plateau(values, steps, betas)
    assert found.found
    assert found.inside.all()
    assert found.value == pytest.approx(3.0, rel=0.03)
    assert abs(found.beta_slope) < 0.05
    with pytest.raises(ValueError, match="at least two ascending"):
        llc.find_plateau(values, steps[::-1], betas)
    with pytest.raises(ValueError, match="must be positive"):
        llc.calibrate(quadratic, at_zero(h), ONE, bias=-1.0, key=jr.key(0))


def test_conformance_scores_and_prints():
    found = conformance.run(
        llc.HMC(1.0, num_leapfrog=20),
        families=[
            conformance.quadratics(number=4),
            conformance.deep_linear((5, 4, 6), 2),
        ],
        key=jr.key(0),
    )
    assert len(found.scores) == 5
    assert found.median_error < 0.02
    assert found.max_error < 0.06
    assert found.rank_correlation > 0.85
    table = str(found)
    assert "quadratic: 12 curvatures, draw 0" in table
    assert "rank correlation" in table
    assert "gradients per chain" in table
