"""Similarities of representations against independent formulas."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import metrics


def song_hsic(k, l):
    """The U-statistic as a sum over all quadruples of distinct examples."""
    n = len(k)
    total = 0.0
    for i in range(n):
        for j in range(n):
            for q in range(n):
                for r in range(n):
                    if len({i, j, q, r}) == 4:
                        total += k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])
    return total / (n * (n - 1) * (n - 2) * (n - 3))


@pytest.mark.parametrize("features", [(3, 4), (30, 4), (30, 40)])
def test_debiased_cka_is_the_u_statistic(features):
    x, y = (
        np.asarray(jr.normal(jr.key(i), (7, p)), np.float64)
        for i, p in enumerate(features)
    )
    y = y + x[:, :1]
    k, l = x @ x.T, y @ y.T
    expected = song_hsic(k, l) / np.sqrt(song_hsic(k, k) * song_hsic(l, l))
    found = metrics.cka(jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32))
    assert float(found.value) == pytest.approx(expected, rel=1e-4)


def centred(x):
    return x - x.mean(axis=0)


@pytest.mark.parametrize("features", [(5, 6), (50, 6), (50, 60)])
def test_biased_cka_is_the_same_in_every_form(features):
    x, y = (jr.normal(jr.key(i), (20, p)) for i, p in enumerate(features))
    a, b = centred(np.asarray(x, np.float64)), centred(np.asarray(y, np.float64))
    norm = np.linalg.norm
    expected = norm(a.T @ b) ** 2 / (norm(a.T @ a) * norm(b.T @ b))
    assert float(metrics.cka_biased(x, y).value) == pytest.approx(expected, rel=1e-5)
    gram_x, gram_y = a @ a.T, b @ b.T
    orders = [np.random.default_rng(i).permutation(20) for i in range(4000)]
    by_chance = np.mean([(gram_x * gram_y[o][:, o]).sum() for o in orders])
    found = float(metrics.cka_biased(x, y).chance)
    assert found == pytest.approx(by_chance / (norm(gram_x) * norm(gram_y)), rel=0.02)


def test_biased_chance_is_that_of_normal_data():
    n, p, q = 400, 100, 50
    x, y = jr.normal(jr.key(0), (n, p)), jr.normal(jr.key(1), (n, q))
    theory = np.sqrt(p * q / ((p + n) * (q + n)))
    assert float(metrics.cka_biased(x, y).chance) == pytest.approx(theory, rel=0.01)


def test_minibatch_cka_averages_before_the_ratio():
    x = jr.normal(jr.key(0), (40, 64, 32))
    y = x + jr.normal(jr.key(1), x.shape)
    whole = float(metrics.cka_minibatch(x, y).value)
    assert whole == pytest.approx(0.5, abs=0.02)
    one = metrics.cka_minibatch(x[:1], y[:1]).value
    assert float(one) == pytest.approx(float(metrics.cka(x[0], y[0]).value), rel=1e-5)
    ratios = np.mean(
        [float(metrics.cka_biased(*p).value) for p in zip(x, y, strict=True)]
    )
    assert ratios > 0.6  # the average of biased ratios stays wrong


def canonical_correlations(x, y):
    """By the eigenvalues of the textbook's matrix."""
    a, b = centred(np.asarray(x, np.float64)), centred(np.asarray(y, np.float64))
    xx, yy, xy = a.T @ a, b.T @ b, a.T @ b
    product = np.linalg.solve(xx, xy) @ np.linalg.solve(yy, xy.T)
    squares, vectors = np.linalg.eig(product)
    order = np.argsort(-squares.real)
    return np.sqrt(np.clip(squares.real[order], 0, 1)), a @ vectors.real[:, order], a


def test_pwcca_is_its_definition():
    x = jr.normal(jr.key(0), (60, 5))
    y = jnp.concatenate([x[:, :3], jr.normal(jr.key(1), (60, 4))], axis=1)
    y = y + 0.5 * jr.normal(jr.key(2), y.shape)
    rho, variates, a = canonical_correlations(x, y)
    variates = variates / np.linalg.norm(variates, axis=0)
    weights = np.abs(variates.T @ a).sum(axis=1)
    expected = (weights * rho).sum() / weights.sum()
    assert float(metrics.pwcca(x, y).value) == pytest.approx(expected, rel=1e-4)


def test_pwcca_leaves_out_directions_that_are_not_there():
    x = jr.normal(jr.key(0), (80, 3))
    flat = x @ jr.normal(jr.key(1), (3, 12))
    other = jr.normal(jr.key(2), (80, 3)) @ jr.normal(jr.key(3), (3, 12))
    assert float(metrics.pwcca(flat, x).value) == pytest.approx(1, abs=1e-4)
    # Three unrelated directions each: about √(3 / 79).
    assert float(metrics.pwcca(flat, other).value) < 0.4


def test_svcca_keeps_the_directions_with_the_variance():
    x = jr.normal(jr.key(0), (300, 3))
    noise = 1e-3 * jr.normal(jr.key(1), (2, 300, 40))
    a, b = (jnp.concatenate([x, n], axis=1) for n in noise)
    assert float(metrics.svcca(a, b).value) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["svcca", "pwcca"])
def test_too_few_examples_for_canonical_correlations(name):
    x = jr.normal(jr.key(0), (10, 10))
    with pytest.raises(ValueError, match=f"{name}.*more examples.*11 examples"):
        getattr(metrics, name)(x, x)


def test_procrustes_finds_the_best_rotation():
    x, y = jr.normal(jr.key(0), (2, 30, 2))
    a, b = (centred(np.asarray(z, np.float64)) for z in (x, y))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    angles = np.linspace(0, 2 * np.pi, 20_001)
    turns = np.stack([np.cos(angles), -np.sin(angles), np.sin(angles), np.cos(angles)])
    turns = turns.T.reshape(-1, 2, 2)
    flipped = turns @ np.diag([1, -1])
    every = np.concatenate([turns, flipped])
    best = (np.linalg.norm(a[None] @ every - b[None], axis=(1, 2)) ** 2).min()
    assert float(metrics.procrustes(x, y).value) == pytest.approx(best, abs=1e-5)


def test_the_root_of_procrustes_obeys_the_triangle_inequality():
    for seed in range(20):
        x, y, z = jr.normal(jr.key(seed), (3, 12, 4))
        xy, yz, xz = (
            float(metrics.procrustes(*p).value) ** 0.5 for p in ((x, y), (y, z), (x, z))
        )
        assert xz <= xy + yz + 1e-5


def test_rsa_is_spearman_of_distances():
    import scipy.spatial.distance
    import scipy.stats

    x = jr.normal(jr.key(0), (25, 6))
    y = x[:, :4] + jr.normal(jr.key(1), (25, 4))
    distances = [
        scipy.spatial.distance.pdist(np.asarray(z, np.float64)) for z in (x, y)
    ]
    expected = scipy.stats.spearmanr(*distances).statistic
    assert float(metrics.rsa(x, y).value) == pytest.approx(expected, abs=1e-4)


def test_principal_angles_of_planes_that_are_tilted():
    basis = jnp.linalg.qr(jr.normal(jr.key(0), (20, 4)))[0]
    basis = basis - basis.mean(
        axis=0, keepdims=True
    )  # centring must leave them as they are
    basis = jnp.linalg.qr(basis)[0]
    tilted = jnp.cos(0.3) * basis[:, 1] + jnp.sin(0.3) * basis[:, 2]
    x = basis[:, :2] * jnp.array([[2.0, 1.0]])
    y = jnp.stack([2 * basis[:, 0], tilted], axis=1)
    angles = metrics.principal_angles(x, y, rank=2)
    np.testing.assert_allclose(angles, [0, 0.3], atol=2e-3)
    with pytest.raises(ValueError, match="between 1 and 2"):
        metrics.principal_angles(x, y, rank=3)


def test_what_a_target_needs_is_computed_once():
    spec = next(spec for spec in metrics.METRICS if spec.name == "cka")
    x, y = jr.normal(jr.key(0), (2, 20, 6))
    target = jax.jit(spec.prepare)(y)
    found = jax.jit(spec.compare)(spec.prepare(x), target)
    assert float(found.value) == pytest.approx(float(metrics.cka(x, y).value), rel=1e-5)
