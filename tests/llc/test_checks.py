"""Each test that an estimate must pass, on draws of which the answer is known."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import llc
from jaxcirc.llc import Status, _checks as checks
from jaxcirc.llc._evidence import Evidence
from jaxcirc.llc._verdict import chain_verdicts, verdict

ONE = jnp.zeros(1)
CHAINS, DRAWS = 4, 400


def evidence(**changed) -> Evidence:
    """Independent draws of a regular minimum of four weights, and nothing wrong."""
    rng = np.random.default_rng(0)
    draws = rng.gamma(2.0, size=(CHAINS, 2 * DRAWS))
    plain = {
        "llc": draws[:, DRAWS:],
        "burnin": draws[:, :DRAWS],
        "loss": np.full(CHAINS, 0.1),
        "distance": rng.gamma(2.0, size=(CHAINS, DRAWS)),
        "slope": np.zeros((CHAINS, DRAWS)),
        "acceptance": None,
        "steps_between_draws": 1,
        "dimension": 4,
        "trivial_loss": 1.0,
        "heating": np.zeros(CHAINS),
        "moved": np.ones(CHAINS),
    }
    return Evidence(**(plain | changed))


def test_nothing_speaks_against_independent_draws():
    of = evidence()
    assert verdict(of).status is Status.CONVERGED
    assert {v.status for v in chain_verdicts(of)} == {Status.CONVERGED}


def test_right_draws_are_seldom_refused():
    """300 sets of independent draws, each with every test at once."""
    rng = np.random.default_rng(1)
    refused = []
    for draws in rng.gamma(2.0, size=(300, CHAINS, 2 * 50)):
        of = evidence(
            llc=draws[:, 50:],
            burnin=draws[:, :50],
            distance=rng.gamma(2.0, size=(CHAINS, 50)),
            slope=rng.normal(size=(CHAINS, 50)),
        )
        refused.append(verdict(of).status is not Status.CONVERGED)
    assert np.mean(refused) < 0.1


@pytest.mark.parametrize(
    ("heating", "status"), [(0.001, Status.CONVERGED), (1.0, Status.HEATED)]
)
def test_a_value_that_is_not_told_from_zero_is_judged_by_its_error(heating, status):
    draws = np.random.default_rng(0).normal(size=(CHAINS, DRAWS))
    of = evidence(llc=draws, burnin=draws, heating=np.full(CHAINS, heating))
    assert abs(draws.mean()) < 0.1
    assert verdict(of).status is status


def test_a_slope_is_told_by_where_the_chains_lie_along_it():
    # On h (w - c)² / 2 the slope's mean is -t h c² = -2 drop, its variance t h c².
    rng = np.random.default_rng(2)
    for drop, status in ((0.02, Status.CONVERGED), (1.0, Status.BELOW_INITIAL_LOSS)):
        slope = rng.normal(-2 * drop, np.sqrt(2 * drop), size=(CHAINS, DRAWS))
        of = evidence(slope=slope)
        assert abs(of.drop[0] - drop) < 4 * of.drop[1]
        assert verdict(of).status is status


def test_a_lower_basin_is_no_slope():
    draws = np.random.default_rng(3).gamma(2.0, size=(CHAINS, DRAWS)) - 5
    explained = evidence(llc=draws, slope=np.full((CHAINS, DRAWS), -12.0))
    assert verdict(explained).status is Status.BELOW_INITIAL_LOSS
    left = verdict(evidence(llc=draws))
    assert left.status is Status.NON_LOCAL
    assert "left it for a lower basin" in left.sentence


def test_a_sampler_that_stands_still_somewhere_has_not_converged():
    rng = np.random.default_rng(4)
    even = rng.beta(1, 4, size=(CHAINS, DRAWS))
    # A low acceptance that is the same everywhere is slow, and not wrong.
    assert checks.acceptance(evidence(acceptance=even)) is None
    even[0, 100:250] = 0
    found = verdict(evidence(acceptance=even))
    assert found.status is Status.TRANSIENT
    assert "stand still for" in found.sentence


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_mean_that_rises_on_a_logarithmic_clock_is_transient(rate):
    clock = np.log2(np.arange(1, 2 * DRAWS + 1) / (2 * DRAWS))
    noise = np.random.default_rng(5).gamma(2.0, size=(CHAINS, 2 * DRAWS))
    whole = noise + rate * clock
    of = evidence(llc=whole[:, DRAWS:], burnin=whole[:, :DRAWS])
    rise, error = of.rise
    assert abs(rise - rate) < 4 * error
    assert (checks.relaxation(of) is not None) == bool(rate)


def test_a_value_far_above_half_the_dimension_is_not_local_however_uncertain():
    draws = 200.0 * np.random.default_rng(6).gamma(1.0, size=(CHAINS, DRAWS))
    found = verdict(evidence(llc=draws.cumsum(axis=1)))
    assert found.status is Status.NON_LOCAL
    assert "above d/2 = 2" in found.sentence


def test_one_chain_with_few_draws_is_not_converged():
    draws = np.random.default_rng(7).gamma(2.0, size=(1, 16))
    of = evidence(
        llc=draws,
        burnin=draws,
        loss=np.ones(1) / 9,
        distance=draws,
        slope=0 * draws,
        heating=np.zeros(1),
        moved=np.ones(1),
    )
    found = verdict(of)
    assert found.status is Status.TRANSIENT
    assert "independent ones" in checks.draws(of).sentence


def test_every_test_looks_at_finite_chains_alone():
    draws = np.random.default_rng(8).gamma(2.0, size=(CHAINS, DRAWS))
    draws[1, 7:] = np.nan
    of = evidence(llc=draws)
    assert verdict(of).status is Status.DIVERGED
    each = chain_verdicts(of)
    assert each[1].sentence.startswith("the loss is not finite from draw 7 on")
    assert each[0].status is Status.CONVERGED


@pytest.mark.parametrize("off", [0.0, 0.05])
def test_weights_beside_their_minimum_are_told(off):
    """0.05 in every coordinate, which takes 18% from the value."""
    h = jnp.array([1.0, 0.7, 0.5, 0.3, 0.2, 0.1])

    def loss(w, x):
        return (h * w**2).sum() / 2 + 0 * x

    found = llc.estimate(
        loss,
        jnp.full(6, off),
        ONE,
        llc.SGLD(1e-3, n_beta=300.0),
        num_chains=8,
        num_draws=500,
        num_burnin=1000,
        steps_between_draws=10,
        key=jr.key(0),
    )
    below = 300 * float(loss(jnp.full(6, off), ONE)[0])
    assert found.drop == pytest.approx(below, rel=0.2)
    # Where it is told, it is put right as well.
    exact = llc.truth.quadratic(np.asarray(h), n_beta=300.0, gamma=1.0)
    assert abs(found.corrected - exact) < 4 * found.standard_error + 0.2 * below
    assert found.status is (Status.BELOW_INITIAL_LOSS if off else Status.CONVERGED)


def test_a_slope_of_batches_is_that_of_all_data():
    """Batches that do not divide the data, and few of a population's."""
    x = jr.normal(jr.key(0), (50,))

    def loss(w, batch):
        return (w - batch) ** 2 / 2

    def slope(data, **options):
        return llc.estimate(
            loss,
            jnp.array(0.5),
            data,
            llc.SGLD(1e-3, n_beta=40.0),
            num_chains=2,
            num_draws=200,
            steps_between_draws=5,
            key=jr.key(1),
            **options,
        )

    below = 40 * (0.5 - float(x.mean())) ** 2 / 2
    for found in (slope(x), slope(x, batch_size=8)):
        assert found.drop == pytest.approx(below, rel=0.3)
    fresh = slope(lambda key: jr.normal(key, (64,)))
    assert fresh.drop == pytest.approx(40 * 0.5**2 / 2, rel=0.3)
