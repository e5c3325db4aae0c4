"""Latents are found again, and nulls say what chance gives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes
from jaxcirc.saes import _assignment

from .made import dictionary, unit

EPS = float(np.finfo(np.float32).eps)


@pytest.fixture(scope="module")
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def shuffled(rng):
    """A dictionary, and one that has 30 of its 40 directions in another order."""
    rows, order = unit(rng, 40, 32), rng.permutation(40)
    new = rows.copy()
    new[30:] = unit(rng, 10, 32)
    return dictionary(rows), dictionary(new[order]), order


def test_known_latents_are_found_and_others_are_not(shuffled):
    a, b, order = shuffled
    found = saes.match(a, b, key=jr.key(0))
    np.testing.assert_array_equal(found.pairs[:30], np.argsort(order)[:30])
    assert found.share(0.9) == 0.75
    assert found.nulls["random"].share(0.9) == 0
    table = found.table((0.9,))
    assert table["found"]["0.9"] == 0.75
    assert table["random"]["mmcs"] < table["found"]["mmcs"]
    encoders = saes.match(a, b, by="encoder", key=jr.key(0))
    np.testing.assert_array_equal(found.pairs, encoders.pairs)


@pytest.mark.parametrize(
    "measure", ["pearson", "cosine", "jaccard", "weighted_jaccard"]
)
def test_activations_find_them_too(shuffled, measure):
    a, b, order = shuffled
    x = jr.normal(jr.key(1), (1500, 32))
    found = saes.match(a, b, by="activations", x=x, measure=measure, key=jr.key(0))
    np.testing.assert_array_equal(found.pairs[:30], np.argsort(order)[:30])
    assert found.similarity[:30].min() > 1 - 1e-4
    assert found.share(0.9) == 0.75
    assert found.nulls["permuted"].share(0.9) == 0
    assert found.nulls["permuted"].mean < found.mean / 2


def test_another_seed_stands_beside(shuffled, rng):
    a, b, _ = shuffled
    rows = np.asarray(a.W_dec).copy()
    rows[:20] = unit(rng, 20, 32)
    other = dictionary(rows)
    found = saes.match(a, b, other=other, key=jr.key(0))
    assert found.nulls["seed"].share(0.9) == 0.5
    x = jr.normal(jr.key(1), (1200, 32))
    by = saes.match(a, b, by="activations", x=x, other=other, key=jr.key(0))
    assert by.nulls["seed"].share(0.9) == 0.5


def test_dead_latents_take_no_part(shuffled):
    a, b, order = shuffled
    alive = np.arange(40) < 10, np.ones(40, bool)
    found = saes.match(a, b, alive=alive, key=jr.key(0))
    assert (found.pairs[10:] == -1).all()
    assert np.isnan(found.best[10:]).all()
    assert found.share(0.9) == 1.0
    silent = eqx.tree_at(lambda d: d.b_enc, a, a.b_enc.at[:5].set(-100.0))
    x = jr.normal(jr.key(1), (500, 32))
    by = saes.match(silent, b, by="activations", x=x, key=jr.key(0))
    assert by.considered.tolist() == [False] * 5 + [True] * 35


def test_an_opposite_direction_is_another_feature(shuffled):
    a = shuffled[0]
    found = saes.match(a, dictionary(-np.asarray(a.W_dec)), key=jr.key(0))
    assert found.share(0.9) == 0
    assert saes.mcc(-a.W_dec, a.W_dec).mcc == pytest.approx(1, rel=1e-5)


def test_a_checkpoint_is_matched_through_its_own_activations(shuffled):
    a, _, _ = shuffled
    turn = jnp.asarray(np.linalg.qr(np.random.default_rng(3).normal(size=(32, 32)))[0])
    turn = turn.astype(jnp.float32)
    turned = dictionary(a.W_dec @ turn)
    x = jr.normal(jr.key(1), (1500, 32))
    found = saes.match(a, turned, by="activations", x=(x, x @ turn), key=jr.key(0))
    assert found.share(0.99) == 1.0
    assert saes.match(a, turned, key=jr.key(0)).share(0.99) == 0


def test_beyond_the_largest_size_neighbours_are_mutual(monkeypatch):
    monkeypatch.setattr(_assignment, "LARGEST", 2)
    table = jnp.array([[0.9, 0.8, 0.0], [0.95, 0.1, 0.0], [0.2, 0.1, 0.3]])
    assert saes.assignment(table).tolist() == [-1, 0, 2]


def in_double(f, g, measure):
    """The four definitions, pair by pair."""
    f, g = f.astype(np.float64), g.astype(np.float64)
    if measure == "pearson":
        return np.corrcoef(f.T, g.T)[: f.shape[1], f.shape[1] :]
    out = np.zeros((f.shape[1], g.shape[1]))
    for i, a in enumerate(f.T):
        for j, b in enumerate(g.T):
            out[i, j] = {
                "cosine": a @ b / np.sqrt((a @ a) * (b @ b)),
                "jaccard": ((a != 0) & (b != 0)).sum() / ((a != 0) | (b != 0)).sum(),
                "weighted_jaccard": np.minimum(a, b).sum() / np.maximum(a, b).sum(),
            }[measure]
    return out


@pytest.mark.parametrize(
    "measure", ["pearson", "cosine", "jaccard", "weighted_jaccard"]
)
def test_overlaps_are_their_definitions(rng, measure):
    # More tokens than a chunk has, so that the last one is filled up.
    f, g = (np.maximum(rng.normal(size=(1500, n)), 0) for n in (4, 3))
    g[:, 0] += 1000 * (measure == "pearson")  # far from 0 everywhere
    f, g = f.astype(np.float32), g.astype(np.float32)
    found = saes.overlap(jnp.asarray(f), jnp.asarray(g), measure)
    expected = in_double(f, g, measure)
    off = np.abs(np.asarray(found) - expected).max()
    # A step of float32 at 1,000 is 2^-14 of the standard deviation.
    assert off <= (2**-12 if measure == "pearson" else 100 * EPS)


def test_weights_are_counts_of_tokens(rng):
    f, g = (jnp.asarray(rng.normal(size=(60, 3)), jnp.float32) for _ in range(2))
    counts = rng.integers(0, 3, 60)
    weighted = saes.overlap(f, g, weights=jnp.asarray(counts, jnp.float32))
    repeated = saes.overlap(*(jnp.repeat(v, counts, axis=0) for v in (f, g)))
    np.testing.assert_allclose(weighted, repeated, rtol=1e-4)


def test_the_mcc_of_random_directions_is_not_zero():
    rng = np.random.default_rng(4)
    a, b = (jnp.asarray(unit(rng, 512, 128), jnp.float32) for _ in range(2))
    null = saes.mcc(a, b).mcc
    assert 0.2 < null < 0.3
    assert saes.mcc(a, a[::-1]).mcc == pytest.approx(1, rel=1e-5)


def test_detection_counts_what_fires_together():
    rng = np.random.default_rng(5)
    there = rng.random((4000, 3)) < 0.3
    features = np.where(there, 2.0, 0.0)
    seen = there & (rng.random(there.shape) < 0.8)  # recall .8
    f = np.where(seen, 0.5, 0.0)[:, ::-1]
    f = np.concatenate([f, np.ones((4000, 1))], 1)  # and one that always fires
    pairs = np.array([2, 1, 3])
    found = saes.detection(
        jnp.asarray(f, jnp.float32),
        jnp.asarray(features, jnp.float32),
        pairs,
        np.array([3.0, 3.0, 2.0]),
    )
    np.testing.assert_allclose(found.precision, [1, 1, there[:, 2].mean()], rtol=1e-5)
    np.testing.assert_allclose(found.recall, [0.8, 0.8, 1], rtol=0.03)
    p, r = np.asarray(found.precision), np.asarray(found.recall)
    np.testing.assert_allclose(found.f1, 2 * p * r / (p + r), rtol=1e-5)
    np.testing.assert_allclose(found.shrinkage, [0.75, 0.75, 1.0], rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "decoders"}, "did you mean 'decoder'"),
        ({"by": "activations", "measure": "jacard"}, "did you mean 'jaccard'"),
        ({"by": "activations"}, "give as `x`"),
        ({"b": dictionary(np.eye(3, 5))}, "32 and 5 dimensions"),
        ({"by": "activations", "x": (jnp.ones((4, 32)), jnp.ones((5, 32)))}, "4, 5"),
    ],
)
def test_what_cannot_be_matched_is_refused(shuffled, options, message):
    a, b, _ = shuffled
    with pytest.raises(ValueError, match=message):
        saes.match(a, options.pop("b", b), **options, key=jr.key(0))


def test_similarities_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="1 of 4 similarities"):
        saes.assignment(np.array([[1.0, np.nan], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="3 dimensions and true directions 2"):
        saes.mcc(jnp.ones((2, 3)), jnp.ones((2, 2)))


def test_stacks_are_not_needed_to_be_held_at_once(shuffled):
    a, _, _ = shuffled
    x = jr.normal(jr.key(1), (2100, 32))
    chunked = saes.match(a, a, by="activations", x=x, key=jr.key(0)).similarity
    whole = jax.jit(saes.overlap)(a.encode(x), a.encode(x))
    np.testing.assert_allclose(chunked, np.diag(whole), rtol=1e-5)
