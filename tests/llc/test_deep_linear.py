"""Random deep linear networks against the theorem; the long list is in docs/results."""

import jax
import jax.numpy as jnp
import jax.random as jr
import pytest

from jaxcirc import llc
from jaxcirc.llc import Status, conformance

from .._wide import double_precision


@pytest.mark.slow
def test_hmc_in_float64_finds_the_coefficient_of_deep_linear_networks():
    with double_precision(True):
        # The quickest six of the published list of forty.
        families = conformance.random_deep_linear(
            40, n_beta=1e5, gradients=20_000, dtype=jnp.float64
        )
        families.sort(key=lambda f: sum(x.size for x in jax.tree.leaves(f.params)))
        found = conformance.run(
            llc.HMC(1.0, num_leapfrog=60), families=families[:6], key=jr.key(0)
        )
    assert found.median_error < 0.02
    assert found.max_error < 0.06
    assert found.rank_correlation > 0.97


@pytest.mark.slow
def test_sgld_as_calibrated_is_close_or_says_that_it_is_not():
    families = conformance.random_deep_linear(
        6, seed=7, layers=(2, 5), width=(5, 24), n_beta=1e3, gradients=40_000
    )
    found = conformance.run(llc.SGLD(1.0), families=families, key=jr.key(0))
    assert found.median_error < 0.08
    for score in found.scores:
        assert abs(score.error) < 0.1 or score.status is not Status.CONVERGED, score
