"""What there is to look at of a latent."""

import dataclasses

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes
from jaxcirc.models import Transformer, TransformerConfig, capture
from jaxcirc.report import feature_page

from .made import dictionary, unit

D, N, POS = 16, 10, 8


@pytest.fixture(scope="module")
def model():
    config = TransformerConfig(d_vocab=20, n_ctx=POS, n_layers=1, d_model=D, n_heads=2)
    return Transformer(config, key=jr.key(0))


@pytest.fixture(scope="module")
def looked(model):
    tokens = np.asarray(jr.randint(jr.key(1), (N, POS), 0, 20))
    rows = np.concatenate([unit(np.random.default_rng(0), 5, D), np.zeros((1, D))])
    rows[4] = rows[3] + 0.1 * rows[4]
    one = dictionary(rows, bias=-0.01)
    found = saes.features(
        one, model, "resid_post", tokens, layer=0, skip=1, n_examples=3, batch_size=4
    )
    _, acts = capture(model, jnp.asarray(tokens), ["resid_post"])
    f = np.array(one.encode(acts["resid_post"][0]))
    f[:, 0] = 0
    return found, f, one


def test_examples_are_the_sequences_where_a_latent_is_largest(looked):
    found, f, _ = looked
    for latent in range(5):
        order = np.argsort(-f[:, :, latent].max(1))[:3]
        np.testing.assert_array_equal(found.examples[latent], order)
        expected = f[order, :, latent]
        np.testing.assert_allclose(found.acts[latent], expected, rtol=1e-3)
    assert (found.examples[5] == -1).all()
    np.testing.assert_allclose(found.density, (f != 0).sum((0, 1)) / (N * (POS - 1)))
    np.testing.assert_allclose(found.largest, f.max((0, 1)), rtol=1e-3)
    np.testing.assert_array_equal(found.histogram.sum(1), (f != 0).sum((0, 1)))
    assert (found.histogram[:5, -1] >= 1).all()


def test_effects_and_neighbours_are_of_the_rows(looked, model):
    found, _, one = looked
    effect = np.asarray(one.W_dec, float) @ np.asarray(model.W_U, float)
    np.testing.assert_array_equal(found.promoted[:5], np.argsort(-effect)[:5, :6])
    np.testing.assert_array_equal(found.suppressed[:5], np.argsort(effect)[:5, :6])
    np.testing.assert_allclose(
        found.promoted_by[:5], -np.sort(-effect)[:5, :6], rtol=1e-3
    )
    assert found.near[3, 0] == 4
    assert found.near_cosine[3, 0] > 0.9
    assert (found.near != np.arange(6)[:, None]).all()


def test_a_tied_model_unembeds_by_its_embedding(looked, model):
    config = dataclasses.replace(model.config, tied=True)
    tied, one = Transformer(config, key=jr.key(0)), looked[2]
    tokens = np.zeros((2, POS), int)
    found = saes.features(one, tied, "resid_post", tokens, layer=0, batch_size=2)
    effect = np.asarray(one.W_dec, float) @ np.asarray(tied.W_E, float).T
    np.testing.assert_array_equal(found.promoted[:5], np.argsort(-effect)[:5, :6])


def test_a_page_needs_all_arrays_and_words(looked):
    found = looked[0]._asdict()
    words = [f"<w{i}>" for i in range(20)]
    page = feature_page(found, words, title="one", about="tiny")
    assert "<w1>" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    with pytest.raises(ValueError, match="beyond the 3 of the"):
        feature_page(found, words[:3], title="one")
    del found["near"]
    with pytest.raises(ValueError, match="there is no near"):
        feature_page(found, words, title="one")


def test_a_stack_is_refused(model):
    many = jax.vmap(saes.TopK(d_in=D, d_sae=24, k=3).init)(jr.split(jr.key(2), 2))
    with pytest.raises(ValueError, match="takes one dictionary"):
        saes.features(many, model, "resid_post", np.zeros((2, 8), int), layer=0)
