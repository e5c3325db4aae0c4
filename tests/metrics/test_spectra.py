"""Spectral metrics beyond the contract: accuracy of the fast way, tails, conditions."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import metrics


def with_spectrum(values, rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    left = np.linalg.qr(rng.normal(size=(rows, rows)))[0][:, : len(values)]
    right = np.linalg.qr(rng.normal(size=(columns, columns)))[0][:, : len(values)]
    return jnp.asarray((left * np.asarray(values)) @ right.T, jnp.float32)


def test_the_fast_way_is_kept_only_where_it_is_accurate():
    good = np.linspace(1, 0.1, 30)
    bad = np.geomspace(1, 1e-5, 30)
    for values, way in ((good, "gram"), (bad, "svd")):
        x = with_spectrum(values, 30, 70)
        auto = metrics.singular_values(x, method="auto")
        np.testing.assert_array_equal(auto, metrics.singular_values(x, method=way))
        np.testing.assert_allclose(auto, values, rtol=1e-4 if way == "gram" else 5e-2)
    # What it avoids: a small value that the Gram matrix has lost.
    lost = metrics.singular_values(with_spectrum(bad, 30, 70), method="gram")
    assert abs(float(lost[-1]) / bad[-1] - 1) > 0.5


def test_norms_are_in_their_order():
    x = jr.normal(jr.key(0), (9, 6))
    spectral, frobenius, nuclear = (
        float(f(x))
        for f in (metrics.spectral_norm, metrics.frobenius_norm, metrics.nuclear_norm)
    )
    assert spectral <= frobenius <= nuclear <= 6**0.5 * frobenius
    assert float(metrics.stable_rank(x)) <= float(metrics.numerical_rank(x))


def test_a_singular_matrix_is_reported_as_asked():
    x = jnp.diag(jnp.array([4.0, 2.0, 0.0]))
    assert float(metrics.condition_number(x)) == 2
    assert float(metrics.condition_number(x, singular=True)) == np.inf
    assert float(metrics.condition_number(x[:2, :2], singular=True)) == 2
    nearly = jnp.diag(jnp.array([1.0, 1e-3]))
    assert float(metrics.condition_number(nearly, rtol=1e-2)) == 1
    assert float(metrics.numerical_rank(nearly, rtol=1e-2)) == 1


@pytest.mark.parametrize("exponent", [2.2, 3.0, 4.5])
def test_the_tail_of_a_pareto_sample(exponent):
    # Below 1 the distribution is something else, so the tail must be found.
    u = jr.uniform(jr.key(0), (3000,))
    tail = (1 - u) ** (-1 / (exponent - 1))
    body = jr.uniform(jr.key(1), (1000,), minval=0.3, maxval=1.0)
    fit = metrics.heavy_tail(jnp.concatenate([tail, body]))
    assert float(fit.alpha) == pytest.approx(exponent, rel=0.06)
    assert float(fit.ks) < 0.03
    assert float(fit.smallest) < 3
    assert 300 < float(fit.tail_size) <= 3100


def test_a_normal_matrix_is_not_heavy_tailed():
    alpha = float(metrics.heavy_tail_alpha(jr.normal(jr.key(0), (300, 600))))
    assert alpha > 6
    assert np.isnan(float(metrics.heavy_tail_alpha(jnp.eye(3))))


def test_a_tail_takes_little_memory_and_no_units():
    values = jr.pareto(jr.key(0), 2.0, (20_000,))
    compiled = jax.jit(metrics.heavy_tail).lower(values).compile()
    # Less than a hundred copies of the values, where a table of tails has 20,000.
    used = compiled.memory_analysis().temp_size_in_bytes
    assert used < 200 * values.nbytes
    for scale in (1e-20, 1e15):
        near, far = (metrics.heavy_tail(c * values[:500]) for c in (1.0, scale))
        assert float(far.alpha) == pytest.approx(float(near.alpha), rel=1e-3)
        assert float(far.tail_size) == pytest.approx(float(near.tail_size))


def test_rounding_is_no_tail():
    thin = jr.normal(jr.key(0), (300, 7)) @ jr.normal(jr.key(1), (7, 300))
    assert np.isnan(float(metrics.heavy_tail_alpha(thin)))
    assert np.isnan(float(metrics.heavy_tail_alpha(1e-15 * thin)))
