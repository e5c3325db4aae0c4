"""Defects that existing tools have been seen to have, each as a test that we pass."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import llc
from jaxcirc.llc import Status, truth

from .problems import ONE, regression

T = 100.0


def flat(w, x):
    return (w**2).sum() / 2 + 0 * x


def run(sampler, w=None, **options):
    call = {"num_chains": 8, "num_draws": 200, "num_burnin": 0} | options
    w = jnp.zeros(2) if w is None else w
    return llc.estimate(flat, w, ONE, sampler, key=jr.key(0), **call)


def test_burn_in_enters_no_mean():
    # From far away, the first steps have a hundred times the loss.
    sampler = llc.SGLD(1e-2, n_beta=T, gamma=1e-3)
    found = run(sampler, jnp.full(2, 3.0), num_burnin=2000, initial_loss=0.0)
    assert found.burnin[:, 0] == pytest.approx(T * 9, rel=0.1)
    exact = truth.quadratic(np.ones(2), n_beta=T, gamma=1e-3, step_size=1e-2)
    assert found.value == pytest.approx(exact, rel=0.1)
    assert found.trace.shape == (8, 200)
    assert found.value == pytest.approx(found.trace.mean())


def test_diverged_chains_are_counted_and_never_averaged_in_silence():
    def cliff(w, x):
        # Chains that come to the right of 0.3 fall off.
        return jnp.where(w[0] > 0.3, jnp.nan, (w**2).sum() / 2) + 0 * x

    found = llc.estimate(
        cliff,
        jnp.zeros(2),
        ONE,
        llc.SGLD(1e-3, n_beta=50.0),
        num_chains=32,
        num_draws=200,
        num_burnin=0,
        key=jr.key(0),
    )
    assert 0 < found.num_diverged < 32
    assert found.status is Status.DIVERGED
    assert f"{found.num_diverged} of 32 chains diverged" in found.sentence
    gone = np.isnan(found.per_chain)
    assert gone.sum() == found.num_diverged
    assert found.value == pytest.approx(np.nanmean(found.per_chain))
    statuses = [v.status for v in found.chain_verdicts]
    assert (np.array([s is Status.DIVERGED for s in statuses]) == gone).all()


def test_the_thermostat_is_used():
    # Without it the variance is off by orders of magnitude: ½ w² at n_beta = 100.
    found = run(
        llc.SGNHT(0.05, T, gamma=0.0),
        jnp.zeros(50),
        num_draws=1000,
        num_burnin=1000,
        steps_between_draws=5,
        observables={"w": lambda w: w},
    )
    assert found.observed["w"].var() == pytest.approx(1 / T, rel=0.03)


def test_a_frozen_preconditioner_has_no_stationary_bias():
    # Adapting forever, RMSprop has 15% too much variance on an isotropic quadratic.
    found = run(
        llc.RMSpropSGLD(1e-4, T, gamma=0.0),
        jnp.zeros(20),
        num_draws=1000,
        num_burnin=3000,
        steps_between_draws=10,
        observables={"w": lambda w: w},
    )
    assert found.observed["w"].var() == pytest.approx(1 / T, rel=0.03)


def test_an_initial_loss_of_zero_is_honoured():
    shifted = llc.estimate(
        lambda w, x: flat(w, x) + 5,
        jnp.zeros(2),
        ONE,
        llc.SGLD(1e-3, n_beta=T),
        num_chains=2,
        num_draws=20,
        initial_loss=0.0,
        key=jr.key(0),
    )
    assert shifted.initial_loss == 0
    assert shifted.value == pytest.approx(T * shifted.loss.mean(), rel=1e-5)
    assert shifted.value > T * 5


def test_defaults_run_and_a_batch_of_one_has_the_temperature_of_all_data():
    loss, w, data, _ = regression()
    found = llc.estimate(
        loss, w, data, llc.SGLD(1e-5), batch_size=1, num_draws=10, key=jr.key(0)
    )
    # n / ln n of the 200 examples, whatever the batch.
    assert found.n_beta == pytest.approx(200 / np.log(200))


def test_the_first_acceptance_is_measured():
    found = run(llc.MALA(1e-4, T), num_draws=50)
    assert found.acceptance.min() > 0.95
    asked = run(llc.SGLD(1e-4, T), num_draws=50, test_acceptance=True)
    assert asked.acceptance.min() > 0.95


def test_every_epoch_is_drawn_anew():
    # Places of the examples that each step sees, read off a loss that is their number.
    n = 64

    def loss(w, batch):
        return batch + 0 * w

    found = llc.estimate(
        loss,
        jnp.zeros(()),
        jnp.arange(n, dtype=jnp.float32),
        llc.SGLD(1e-6),
        batch_size=1,
        num_chains=2,
        num_draws=8 * n,
        num_burnin=0,
        key=jr.key(0),
    )
    epochs = found.loss.reshape(2, 8, n)
    # No chain repeats an epoch, nor does another chain see the same batches.
    flat_epochs = {tuple(e) for e in epochs.reshape(-1, n).tolist()}
    assert len(flat_epochs) == 16
    assert abs(np.corrcoef(found.loss)[0, 1]) < 0.2


def test_draws_and_initial_loss_are_on_the_same_examples():
    # At w* itself the excess of every minibatch is exactly 0, however noisy the loss.
    loss, w, data, _ = regression(noise=10.0)
    found = llc.estimate(
        loss,
        w,
        data,
        llc.SGLD(1e-14),
        batch_size=2,
        num_chains=2,
        num_draws=30,
        num_burnin=0,
        key=jr.key(0),
    )
    assert found.loss.std() > 10
    assert np.abs(found.trace).max() < 1e-2


def test_noise_and_gradient_norms_have_their_scale():
    found = run(llc.SGLD(1e-3, T), jnp.zeros(1000), num_draws=50, num_burnin=500)
    assert found.noise_norm.mean() == pytest.approx(np.sqrt(1e-3 * 1000), rel=0.02)
    # In equilibrium |w|² = d / (t + γ): the drift is ε/2 t |w|.
    expected = 1e-3 / 2 * T * np.sqrt(1000 / (T + 1))
    assert found.gradient_norm.mean() == pytest.approx(expected, rel=0.05)
