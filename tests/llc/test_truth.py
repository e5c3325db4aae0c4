import itertools

import numpy as np
import pytest
import scipy.integrate
from hypothesis import given, strategies as st

from jaxcirc.llc import truth


def test_a_deep_linear_network_of_two_layers_is_reduced_rank_regression():
    cases = 0
    for M, H, N in itertools.product(range(1, 9), repeat=3):
        for r in range(min(M, H, N) + 1):
            assert truth.reduced_rank(M, H, N, r) == truth.deep_linear((M, H, N), r)
            cases += 1
    assert cases == 1808


def test_published_values_of_deep_linear_networks():
    # Aoyagi & Watanabe (2005) and the tables of Lau et al. (2023).
    expected = {(5, 3, 5): [6.5, 8, 9.5, 10.5], (10, 10, 10): [37.5, 40, 42, 44]}
    for widths, values in expected.items():
        found = [truth.deep_linear(widths, r).value for r in range(4)]
        assert found == values
    assert truth.deep_linear((5, 3, 5), 0).multiplicity == 2
    # The zero map of one layer is a regular model.
    assert truth.deep_linear((4, 7), 0) == truth.regular(28)


@given(st.lists(st.integers(1, 20), min_size=2, max_size=7), st.data())
def test_a_coefficient_is_at_most_half_the_dimension(widths, data):
    rank = data.draw(st.integers(0, min(widths)))
    found = truth.deep_linear(widths, rank)
    d = sum(a * b for a, b in itertools.pairwise(widths))
    assert 0 <= found.value <= d / 2
    assert found.multiplicity >= 1
    reversed_ = truth.deep_linear(widths[::-1], rank)
    assert found.value == pytest.approx(reversed_.value)


@pytest.mark.parametrize("prior", ["gaussian", "box"])
@pytest.mark.parametrize("powers", [(0, 1), (1, 1), (1, 2), (2, 2)])
def test_normal_crossings_at_finite_t_by_adaptive_quadrature(powers, prior):
    # An independent way: adaptive integration over the weights themselves.
    t, (a, b) = 50.0, powers
    top = 1.0 if prior == "box" else 8.0

    def density(x, y):
        K = x ** (2 * a) * y ** (2 * b)
        log_prior = 0 if prior == "box" else -(x**2 + y**2) / 2
        return K, np.exp(-t * K + log_prior)

    def integral(f):
        return scipy.integrate.dblquad(f, 0, top, 0, top, epsrel=1e-7)[0]

    top_ = integral(lambda y, x: t * density(x, y)[0] * density(x, y)[1])
    exact = top_ / integral(lambda y, x: density(x, y)[1])
    found = truth.normal_crossing_at(powers, n_beta=t, prior=prior)
    assert found == pytest.approx(exact, rel=2e-4)


def test_normal_crossings_approach_their_limit_as_slowly_as_theory_says():
    # t E[K] = λ - (m - 1) / ln t: multiplicity 2 is far off at any t.
    limit = truth.normal_crossing((1, 1))
    assert limit == (0.5, 2)
    for t in (1e6, 1e10):
        found = truth.normal_crossing_at((1, 1), n_beta=t)
        slope = (limit.value - found) * np.log(t)
        assert slope == pytest.approx(limit.multiplicity - 1, abs=0.15)
    simple = truth.normal_crossing_at((0, 1), n_beta=1e6)
    assert simple == pytest.approx(0.5, abs=1e-4)
    # A prior that vanishes at the singularity shifts the coefficient.
    assert truth.normal_crossing((1, 2), (1, 0)).value == 0.25
    shifted = truth.normal_crossing_at((1, 0), n_beta=1e8, prior_powers=(1, 0))
    assert shifted == pytest.approx(1.0, abs=1e-3)


def test_a_quadratic_is_the_stationary_variance_of_its_recursion():
    # w <- (1 - ε s / 2) w + sqrt(ε (1 + ε t² σ² / 4)) η, iterated to its fixed point.
    t, gamma, eps, h, noise = 100.0, 2.0, 1e-2, 0.7, 0.04
    s, variance = t * h + gamma, 0.0
    for _ in range(2000):
        variance = (1 - eps * s / 2) ** 2 * variance
        variance += eps + (eps * t / 2) ** 2 * noise
    exact = t * h * variance / 2
    found = truth.quadratic(
        np.array([h]), n_beta=t, gamma=gamma, step_size=eps, noise_variance=noise
    )
    assert found == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: truth.regular(3, symmetry=4), "between 0 and d = 3"),
        (lambda: truth.normal_crossing((0, 0)), "not all 0"),
        (lambda: truth.normal_crossing_at((1,), n_beta=-1.0), "must be positive"),
        (lambda: truth.reduced_rank(2, 2, 2, 3), "narrowest layer, 2"),
        (lambda: truth.deep_linear((3, 4), 4), "smallest"),
        (
            lambda: truth.quadratic(np.ones(1), n_beta=1e3, gamma=1.0, step_size=1e-2),
            "unstable",
        ),
    ],
)
def test_impossible_models_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
