"""Dictionaries beside planted truth: recovery, absorption, probes; SAEBench's view."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes

from .made import dictionary, unit


@pytest.fixture(scope="module")
def truth():
    return saes.planted(24, 16, l0=2.0, n_parents=2, n_children=2, key=jr.key(0))


def test_the_true_directions_recover_everything_orthogonal():
    # Without superposition a latent reads its feature exactly; the bias shrinks it.
    truth = saes.planted(8, 8, l0=1.5, magnitudes=(1.0, 1.0), key=jr.key(0))
    turn = jnp.asarray(np.linalg.qr(np.asarray(truth.directions))[0], jnp.float32)
    truth = eqx.tree_at(lambda t: t.directions, truth, turn)
    order = np.random.default_rng(0).permutation(8)
    made = dictionary(2 * np.asarray(turn)[order], bias=-0.2)
    found = saes.recovery(made, truth, n=3000, key=jr.key(1))
    assert found.directions.mcc == pytest.approx(1, rel=1e-5)
    np.testing.assert_array_equal(found.directions.assignment, np.argsort(order))
    for rate in found.detection[:3]:
        np.testing.assert_allclose(rate, 1, rtol=1e-6)
    # It reads 2 - .2 and writes that times 2.
    np.testing.assert_allclose(found.detection.shrinkage, 3.6, rtol=1e-4)
    assert float(found.firing.l0) == pytest.approx(float(found.l0))


def test_what_is_not_alive_does_not_count(truth):
    gone = eqx.tree_at(lambda t: t.alive, truth, truth.alive.at[5].set(False))
    rows = np.concatenate([truth.directions, unit(np.random.default_rng(0), 3, 16)])
    made = dictionary(rows, bias=-0.5)
    dead = eqx.tree_at(lambda d: d.b_enc, made, made.b_enc.at[7].set(-100.0))
    found = saes.recovery(dead, gone, n=2000, key=jr.key(1))
    assert found.directions.assignment[5] == -1
    assert np.isnan(found.directions.cosine[5])
    assert np.isnan(found.detection.recall[5])
    assert found.directions.assignment[7] != 7
    assert found.directions.mcc < 1


def test_a_dictionary_of_another_width_is_refused(truth):
    with pytest.raises(ValueError, match="16 dimensions"):
        saes.recovery(dictionary(np.eye(4)), truth, key=jr.key(0))


def test_absorption_is_counted_where_it_was_built_in():
    truth = saes.planted(
        9, 12, l0=1.5, n_parents=2, n_children=2, magnitudes=(1, 1), key=jr.key(0)
    )
    features = truth.sample(4000, key=jr.key(1)).features
    parent, directions = np.asarray(truth.parent), np.array(truth.directions)
    f = np.array(features)
    absorbed = [np.flatnonzero(parent == 0)[0], np.flatnonzero(parent == 1)[1]]
    for child in absorbed:
        f[f[:, child] > 0, parent[child]] = 0
        directions[child] += directions[parent[child]]
    ask = lambda f, rows: saes.absorption(
        *(jnp.asarray(x, jnp.float32) for x in (f, features, rows)),
        truth.directions,
        parent,
        np.arange(9),
        along=0.5,
    )
    found = ask(f, directions)
    rates = dict(zip(found.child.tolist(), found.rate.tolist(), strict=True))
    assert rates == {c: float(c in absorbed) for c in found.child.tolist()}
    share = sum(int((features[:, c] > 0).sum()) for c in absorbed) / int(found.n.sum())
    assert found.mean == pytest.approx(share, rel=1e-6)
    # A parent that is missed, by a child that does not write for it, is not absorbed.
    missed = ask(f, np.array(truth.directions))
    assert missed.mean == 0
    assert sorted(missed.missed.tolist()) == [0, 0, 1, 1]


@pytest.fixture(scope="module")
def concept():
    """A concept that one latent tells in most cases, and two together in all."""
    rng = np.random.default_rng(0)
    labels = rng.random(2000) < 0.4
    first = labels & (rng.random(2000) < 0.8)
    f = np.maximum(rng.normal(size=(2000, 12)), 0)
    f[:, 3], f[:, 8] = 3.0 * first, 3.0 * (labels & ~first)
    return jnp.asarray(f, jnp.float32), labels


def test_probes_read_the_latents_that_tell(concept):
    f, labels = concept
    one, two, five = (saes.sparse_probe(f, labels, k) for k in (1, 2, 5))
    assert one.latents.tolist() == [3]
    assert set(two.latents.tolist()) == {3, 8}
    # One tells 80% of the 40% that have the concept.
    assert abs(float(one.accuracy) - 0.92) < 5 * np.sqrt(0.92 * 0.08 / 1000)
    assert float(two.accuracy) == float(five.accuracy) == 1.0
    assert float(one.chance) == pytest.approx(1 - labels[1000:].mean())
    nothing = saes.sparse_probe(f[:, 9:], labels, 1)
    assert abs(float(nothing.accuracy) - float(one.chance)) < 0.05


def test_a_probe_is_the_minimum_of_its_loss(concept):
    f, labels = concept
    from jaxcirc.saes._probing import _logistic

    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(size=(300, 3)), np.ones((300, 1))], 1)
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(labels[:300], jnp.float32)
    x = x.at[:, 0].add(y)
    weights = jax.jit(_logistic)(x, y, jnp.float32(1e-2))
    p = jax.nn.sigmoid(x @ weights)
    gradient = (p - y) @ x / 300 + jnp.array([1e-2, 1e-2, 1e-2, 1e-6]) * weights
    start = (0.5 - y) @ x / 300
    assert float(jnp.abs(gradient).max()) < 1e-5 * float(jnp.abs(start).max())


def test_what_cannot_be_probed_is_refused(concept):
    f, labels = concept
    with pytest.raises(ValueError, match="between 1 and 12"):
        saes.sparse_probe(f, labels, 13)
    with pytest.raises(ValueError, match="some with the concept"):
        saes.sparse_probe(f, np.arange(2000) < 1000, 1)


class Tensor:
    """As much of a tensor as is asked of one, so that torch need not be there."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def detach(self):
        return self

    float = cpu = detach

    def numpy(self):
        return self.values

    def new_tensor(self, values):
        assert isinstance(values, np.ndarray)
        return Tensor(values)


@pytest.mark.parametrize("config", [saes.Standard, saes.TopK])
def test_saebench_sees_rows_of_length_one_and_the_same_reconstructions(config):
    options = {"k": 3} if config is saes.TopK else {}
    one = config(d_in=8, d_sae=16, **options).init(jr.key(0))
    made = saes.SAEBenchDictionary(
        one, "gpt2", "blocks.1.hook_resid_post", 1, training_tokens=7
    )
    x = jr.normal(jr.key(1), (2, 3, 8))
    given = Tensor(x)
    f = made.encode(given)
    assert isinstance(f, Tensor)
    np.testing.assert_allclose(made.decode(f).values, one(x), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(f.values != 0, one.encode(x) != 0)
    rows = np.asarray(made.W_dec)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    # The protocol's own formula, from the weights that it is given.
    by_hand = f.values @ rows + np.asarray(made.b_dec)
    np.testing.assert_allclose(made(given).values, by_hand, rtol=1e-4, atol=1e-6)
    assert made.W_enc.shape == (8, 16)
    assert made.b_enc.shape == (16,)
    cfg = made.cfg.to_dict()
    assert cfg["d_in"] == 8
    assert cfg["hook_layer"] == 1
    assert cfg["training_tokens"] == 7


def test_saebench_with_torch_itself():
    torch = pytest.importorskip("torch")
    one = saes.Standard(d_in=8, d_sae=16).init(jr.key(0))
    made = saes.SAEBenchDictionary(one, "gpt2", "blocks.1.hook_resid_post", 1)
    made.to(dtype=torch.bfloat16)
    x = torch.ones(2, 3, 8, dtype=torch.bfloat16)
    assert made(x).dtype == made.W_dec.dtype == made.dtype == torch.bfloat16
    assert made(x).shape == x.shape
    assert made.device == torch.device("cpu")


def test_saebench_has_no_place_for_transcoders_with_a_skip():
    made = saes.Standard(d_in=8, d_sae=16, d_out=8, skip=True).init(jr.key(0))
    with pytest.raises(ValueError, match="and a W_skip"):
        saes.SAEBenchDictionary(made, "gpt2", "blocks.1.hook_resid_post", 1)


def test_directions_that_add_up_come_back_from_the_activations():
    # Exact up to rounding, whatever constant the features share.
    rng = np.random.default_rng(0)
    features = (rng.random((200, 12)) < 0.2) * rng.uniform(0.5, 1.5, (200, 12))
    rows = rng.normal(size=(12, 6))
    x = jnp.asarray(features @ rows + rng.normal(size=6), jnp.float32)
    found = saes.written_by(jnp.asarray(features, jnp.float32), x)
    spread = np.linalg.cond(features - features.mean(0))
    error = np.abs(np.asarray(found) - rows).max()
    assert error < 10 * spread * np.finfo(np.float32).eps * np.abs(x).max()
    with pytest.raises(ValueError, match="more tokens than"):
        saes.written_by(jnp.ones((12, 12)), x[:12])


def test_a_feature_that_no_latent_has_counts_nothing(truth):
    # Half of the true directions: half of the MCC, since the others have no latent.
    made = dictionary(np.asarray(truth.directions)[::2], bias=-0.5)
    found = saes.recovery(made, truth, n=2000, key=jr.key(1))
    assert found.directions.mcc == pytest.approx(0.5, rel=1e-5)
    assert (found.directions.assignment[1::2] == -1).all()
