"""Planted features fire as often, and together, as they were made to."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes

N = 40_000


@pytest.fixture(scope="module")
def truth():
    return saes.planted(
        64,
        16,
        l0=4.0,
        n_pairs=3,
        correlation=0.4,
        n_parents=4,
        n_children=3,
        with_child=0.6,
        magnitudes=(0.5, 1.5),
        key=jr.key(0),
    )


@pytest.fixture(scope="module")
def drawn(truth):
    return jax.tree.map(np.asarray, eqx.filter_jit(truth.sample)(N, key=jr.key(1)))


def within_errors(mean, expected, variance, n=N, errors=5.0):
    """Whether sample means are within so many standard errors."""
    return (np.abs(mean - expected) <= errors * np.sqrt(variance / n)).all()


def test_features_are_as_frequent_as_the_law_says(truth, drawn):
    p = np.asarray(truth.probability, np.float64)
    fires = drawn.features > 0
    assert within_errors(fires.mean(0), p, p * (1 - p))
    assert p.sum() == pytest.approx(4.0) == float(truth.l0)
    free = p[:52]
    np.testing.assert_allclose(free, free[0] * np.arange(1, 53) ** -0.5, rtol=1e-5)


def test_the_children_of_a_parent_exclude_each_other(truth, drawn):
    fires, parent = drawn.features > 0, np.asarray(truth.parent)
    for p in range(4):
        young = fires[:, parent == p]
        assert young.shape == (N, 3)
        assert young.sum(1).max() == 1
        assert not young[~fires[:, p]].any()
        n = fires[:, p].sum()
        share = young[fires[:, p]].any(1).mean()
        assert within_errors(share, 0.6, 0.24, n)


def test_pairs_are_correlated_and_others_are_not(truth, drawn):
    fires = (drawn.features > 0).astype(float)
    c = np.corrcoef(fires.T)
    pairs = c[[4, 6, 8], [5, 7, 9]]
    # A correlation's standard error is about 1/√n; rare events have heavier tails.
    assert np.abs(pairs - 0.4).max() < 10 / np.sqrt(N)
    assert np.abs(c[10:52, 10:52] - np.eye(42)).max() < 6 / np.sqrt(N)


def test_activations_are_the_sum_of_what_fires(truth, drawn):
    made = drawn.features.astype(np.float64) @ np.asarray(truth.directions, np.float64)
    # Sums of a few terms of size one, rounded to float32.
    off = np.abs(drawn.activations - made).max()
    assert off <= 8 * np.finfo(np.float32).eps * np.abs(made).max()
    magnitudes = drawn.features[drawn.features > 0]
    assert magnitudes.min() >= 0.5
    assert magnitudes.max() <= 1.5
    np.testing.assert_allclose(np.linalg.norm(truth.directions, axis=1), 1, rtol=1e-6)


def test_noise_has_its_size_and_nothing_else_changes(truth, drawn):
    noisy = eqx.tree_at(lambda t: t.noise, truth, jnp.float32(0.3))
    with_noise = eqx.filter_jit(noisy.sample)(N, key=jr.key(1))
    np.testing.assert_array_equal(with_noise.features, drawn.features)
    left = np.asarray(with_noise.activations) - drawn.activations
    assert left.std() == pytest.approx(0.3, rel=0.02)


def test_features_come_and_go_at_their_steps(truth):
    steps = (0, 1, 4, 16, 64)
    run = saes.planted_run(
        truth, steps, births={60: 4, 3: 16}, deaths={20: 16}, drift=0.1, key=jr.key(2)
    )
    stack = jax.vmap(run.at)(jnp.array(steps))
    alive = np.asarray(stack.alive)
    assert alive[:, 60].tolist() == [False, False, True, True, True]
    assert alive[:, 3].tolist() == [False, False, False, True, True]
    assert alive[:, 20].tolist() == [True, True, True, False, False]
    assert alive.sum(1).tolist() == [62, 62, 63, 63, 63]
    # By 0.1 radians for each doubling of 1 + step.
    cosine = (np.asarray(stack.directions) * np.asarray(truth.directions)).sum(-1)
    turned = 0.1 * np.log2(1 + np.array(steps))
    np.testing.assert_allclose(cosine, np.cos(turned)[:, None] + 0 * cosine, rtol=1e-5)
    fires = eqx.filter_jit(run.at(0).fires)(2000, key=jr.key(3))
    # The children of a parent that is not there yet cannot fire.
    orphans = np.asarray(truth.parent) == 3
    assert not np.asarray(fires)[:, orphans | ~alive[0]].any()
    assert float(run.at(0).l0) < float(run.at(64).l0)


def test_the_same_key_gives_the_same_tokens_at_every_step(truth):
    run = saes.planted_run(truth, range(3), births={60: 2}, key=jr.key(2))
    fires = eqx.filter_jit(lambda step: run.at(step).fires(500, key=jr.key(3)))
    before, after = (np.asarray(fires(jnp.int32(step))) for step in (0, 2))
    same = np.arange(64) != 60
    np.testing.assert_array_equal(before[:, same], after[:, same])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"l0": 40.0}, "at most"),
        ({"n_parents": 10, "n_children": 9}, "need 100 features; got 64"),
        ({"n_pairs": 2, "correlation": -0.9}, "can be correlated"),
        ({"with_child": 1.5}, "with_child"),
        ({"magnitudes": (0.0, 1.0)}, "magnitudes must ascend"),
        ({"n_pairs": -1}, "negative number"),
    ],
)
def test_what_cannot_be_planted_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        saes.planted(64, 16, **{"l0": 3.0, **options}, key=jr.key(0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": (3, 1)}, "must ascend"),
        ({"births": {64: 1}}, "features 0 to 63"),
        ({"deaths": {1: 9}}, "steps 0 to 2"),
        ({"births": {1: 2}, "deaths": {1: 1}}, r"features \[1\] die before"),
    ],
)
def test_impossible_lives_are_refused(truth, options, message):
    with pytest.raises(ValueError, match=message):
        saes.planted_run(truth, **{"steps": range(3), **options}, key=jr.key(0))
