"""Every row of SAMPLERS samples what it says."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import llc
from jaxcirc.llc import SAMPLERS, truth

from ..llc.problems import ONE, W_ONLY, at_zero, quadratic, spectra

ROWS = pytest.mark.parametrize("spec", SAMPLERS, ids=lambda spec: spec.name)
T = 100.0


@ROWS
def test_a_row_says_what_it_is(spec):
    assert isinstance(spec.build(**spec.tried), llc.AbstractSampler)
    assert 0 < len(spec.summary) < 80
    with pytest.raises(ValueError, match="`step_size` must be positive"):
        spec.build(**(spec.tried | {"step_size": 0.0}))


@ROWS
def test_masked_weights_do_not_move(spec):
    seen = llc.estimate(
        lambda w, x: ((w["a"] - 1) ** 2).sum() + ((w["b"] - 1) ** 2).sum() + 0 * x,
        {"a": jnp.ones(3), "b": jnp.ones(4)},
        ONE,
        spec.build(step_size=1e-3, n_beta=50.0),
        mask={"a": jnp.array([True, False, True]), "b": False},
        observables={"a": lambda w: w["a"], "b": lambda w: w["b"]},
        num_chains=2,
        num_draws=5,
        num_burnin=5,
        key=jr.key(0),
    )
    assert seen.dimension == 2
    assert (seen.observed["b"] == 1).all()
    assert (seen.observed["a"][..., 1] == 1).all()
    assert np.ptp(seen.observed["a"][..., 0]) > 0


@ROWS
def test_a_box_is_a_uniform_prior(spec):
    # Without data the density in the box is flat: E[w²] = box² / 3.
    sampler = spec.build(step_size=0.05, n_beta=1.0, gamma=0.0, box=0.5)
    if sampler.has_momentum:
        sampler = sampler.with_numbers(step_size=0.2)
    elif sampler.needs_burnin:
        # Without gradients a learnt preconditioner is at its largest.
        sampler = sampler.with_numbers(step_size=0.005)
    seen = llc.estimate(
        lambda w, x: 0 * w.sum() + 0 * x,
        jnp.zeros(2),
        ONE,
        sampler,
        observables={"w": lambda w: w},
        num_chains=32,
        num_draws=1000,
        num_burnin=1000,
        steps_between_draws=4,
        key=jr.key(0),
    )
    w = seen.observed["w"]
    assert np.abs(w).max() <= 0.5 + 1e-6
    assert (w**2).mean() == pytest.approx(0.25 / 3, rel=0.04)


# The long chains are compiled as users run them, since their time is that of steps.
@pytest.mark.parametrize(
    ("number", "draws", "tolerance"),
    [(2, 250, 0.05), pytest.param(4, 1000, 0.03, marks=pytest.mark.slow)],
)
@ROWS
def test_it_has_the_posteriors_own_value(spec, number, draws, tolerance):
    h = spectra(number, 6)
    sampler = spec.build(**spec.tried, n_beta=T)
    found = llc.sweep(
        quadratic,
        at_zero(h),
        ONE,
        sampler,
        steps=list(range(len(h))),
        masks={"w": W_ONLY},
        num_chains=64,
        num_draws=draws,
        # A preconditioner that is learnt from gradients needs the time to learn it.
        num_burnin=8000 if sampler.needs_burnin else 8 * draws,
        steps_between_draws=16,
        strategy="vmap",
        key=jr.key(0),
    )
    exact = np.array([truth.quadratic(row, n_beta=T, gamma=1.0) for row in h])
    corrected = np.array([e.corrected for e in found.estimates.flat])
    # The sampling error is about half a per cent after 1,000 draws.
    assert np.abs(corrected / exact - 1).max() < tolerance
