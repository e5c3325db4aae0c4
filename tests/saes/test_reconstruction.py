"""Measures of reconstruction and of firing, against sums in double precision."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import saes
from jaxcirc.saes._density import firing_of, no_firing, with_firing
from jaxcirc.saes._reconstruction import no_tokens, result_of, with_batch
from jaxcirc.saes._running import Running

EPS = float(np.finfo(np.float32).eps)


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 6)) * np.linspace(1, 3, 6) + np.arange(6)
    return x.astype(np.float32), (0.8 * x + 0.3 * rng.normal(size=x.shape)).astype(
        np.float32
    )


def in_double(x, x_hat, size):
    """Every definition, written down once more without streams."""
    x, x_hat = x.astype(np.float64), x_hat.astype(np.float64)
    error = ((x - x_hat) ** 2).sum(1)
    norms = [np.linalg.norm(v, axis=1) for v in (x, x_hat)]
    batches = list(zip(x.reshape(-1, size, 6), x_hat.reshape(-1, size, 6), strict=True))
    legacy = [
        1 - ((a - b) ** 2).sum(1) / ((a - a.mean(0)) ** 2).sum(1) for a, b in batches
    ]
    per_batch = [1 - (a - b).var(0).sum() / a.var(0).sum() for a, b in batches]
    return {
        "mse": error.mean(),
        "fvu": error.sum() / ((x - x.mean(0)) ** 2).sum(),
        "explained_variance_legacy": np.mean(legacy),
        "explained_variance_per_batch": np.mean(per_batch),
        "cosine": ((x * x_hat).sum(1) / norms[0] / norms[1]).mean(),
        "l2_ratio": (norms[1] / norms[0]).mean(),
        "relative_bias": (x_hat**2).sum() / (x * x_hat).sum(),
        "n_tokens": len(x),
    }


@pytest.mark.parametrize("size", [240, 40, 2])
def test_every_measure_is_its_definition(pair, size):
    found = saes.reconstruction(*map(jnp.asarray, pair), batch_size=size)
    for name, value in in_double(*pair, size).items():
        assert float(getattr(found, name)) == pytest.approx(value, rel=50 * EPS), name


def test_the_mean_explains_nothing_in_one_definition_alone(pair):
    x = jnp.asarray(pair[0])
    mean = jnp.broadcast_to(x.mean(axis=0), x.shape)
    found = saes.reconstruction(x, mean, batch_size=40)
    assert abs(float(found.explained_variance)) <= 10 * EPS
    # Rows of a batch are nearer to its own mean than to that of all.
    assert float(found.explained_variance_legacy) < -0.01
    assert abs(float(found.explained_variance_per_batch)) <= 50 * EPS


def test_an_offset_is_an_error_though_a_variant_does_not_see_it(pair):
    x = jnp.asarray(pair[0])
    found = saes.reconstruction(x, x + 2.0)
    variance = pair[0].astype(float).var(0).sum()
    assert float(found.fvu) == pytest.approx(24 / variance, rel=1e-5)
    assert float(found.explained_variance_per_batch) == pytest.approx(1, rel=1e-5)


def test_a_large_mean_costs_no_digits_of_the_variance():
    rng = np.random.default_rng(1)
    # Multiples of 2^-10, which float32 holds beside a mean of 4,096.
    x = (4096 + np.round(rng.normal(size=(6400, 6)) * 1024) / 1024).astype(np.float32)
    x_hat = x + np.float32(0.5)
    found = saes.reconstruction(jnp.asarray(x), jnp.asarray(x_hat), batch_size=64)
    exact = in_double(x, x_hat, 64)["fvu"]
    assert float(found.fvu) == pytest.approx(exact, rel=1e-4)
    naive = np.square(x).sum(0) / np.float32(6400) - np.square(x.mean(0))
    assert abs(naive.sum() / x.astype(np.float64).var(0).sum() - 1) > 1e-2


def test_tokens_that_do_not_count_may_hold_anything(pair):
    x, x_hat = pair
    where = np.arange(240) % 3 > 0
    broken = np.where(where[:, None], x, np.nan)
    sums = no_tokens(6)
    for rows in np.split(np.arange(240), 4):
        sums = with_batch(
            sums,
            jnp.asarray(broken[rows]),
            jnp.asarray(x_hat[rows]),
            jnp.asarray(where[rows]),
        )
    found = result_of(sums)
    kept = saes.reconstruction(jnp.asarray(x[where]), jnp.asarray(x_hat[where]))
    assert int(found.n_tokens) == 160
    for name in ("mse", "fvu", "cosine", "l2_ratio", "relative_bias"):
        value = float(getattr(kept, name))
        assert float(getattr(found, name)) == pytest.approx(value, rel=50 * EPS), name


def test_nothing_has_no_value():
    found = result_of(no_tokens(3))
    assert np.isnan([found.mse, found.fvu, found.cosine]).all()
    assert np.isnan(firing_of(no_firing(2)).density).all()


def test_a_sum_of_many_small_terms_keeps_them():
    total, plain = Running.zero(), np.float32(0)
    for term in [1e8, *[1.0] * 200, -1e8]:
        total = total.plus(jnp.float32(term))
        plain += np.float32(term)
    assert float(total.total) == 200.0
    assert plain != 200.0


def test_firing_is_counted_over_batches():
    rng = np.random.default_rng(2)
    f = np.maximum(rng.normal(size=(600, 5)) - [0, 1, 2, 9, -9], 0).astype(np.float32)
    sums = no_firing(5)
    for rows in np.split(f, 6):
        sums = with_firing(sums, jnp.asarray(rows), jnp.ones(100, bool))
    found = firing_of(sums)
    np.testing.assert_array_equal(found.counts, (f > 0).sum(0))
    np.testing.assert_allclose(found.mean, f.mean(0, dtype=float), rtol=10 * EPS)
    np.testing.assert_array_equal(found.largest, f.max(0))
    assert float(found.l0) == pytest.approx((f > 0).sum(1).mean(), rel=10 * EPS)
    assert float(found.l1) == pytest.approx(f.sum(1, dtype=float).mean(), rel=10 * EPS)
    assert found.dead.tolist() == [False, False, False, True, False]
    assert float(found.dead_share) == pytest.approx(0.2)
    assert float(found.dense_share()) == pytest.approx(0.6)
    assert found.histogram([-3.0, -1.0, -0.5, 0.0]).tolist() == [1, 1, 2]


def test_other_shapes_are_refused():
    x = jnp.ones((4, 2))
    with pytest.raises(ValueError, match="one shape"):
        saes.reconstruction(x, jnp.ones((4, 3)))
    with pytest.raises(ValueError, match="divide the 4 tokens"):
        saes.reconstruction(x, x, batch_size=3)
