"""Tokens as users hand them over: every kind of array, and ids that are no tokens."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.models import Transformer, TransformerConfig, capture, generate

MODEL = Transformer(
    TransformerConfig(d_vocab=11, n_ctx=6, n_layers=1, d_model=8, n_heads=2),
    key=jr.key(0),
)
CALLS = {
    "Transformer": lambda t: MODEL(t),
    "capture": lambda t: capture(MODEL, t, ("resid_post",)),
    "generate": lambda t: generate(MODEL, t, 2),
}


@pytest.mark.parametrize("who", CALLS)
@pytest.mark.parametrize("outside", [11, 50_000, -1, -100])
def test_ids_that_the_model_lacks_are_refused(who, outside):
    tokens = jnp.array([[1, 2, outside]])
    with pytest.raises(ValueError, match=rf"{who}.*\[0, 11\).*{outside}"):
        CALLS[who](tokens)


def test_under_jit_they_give_no_other_tokens_logits():
    logits = eqx.filter_jit(lambda m, t: m(t))
    for outside in (11, 50_000, -1, -100):
        found = np.asarray(logits(MODEL, jnp.array([[1, outside, 2], [1, 2, 3]])))
        assert np.isnan(found[0]).all()
        assert np.isfinite(found[1]).all()


def test_every_integer_type_and_numpy_give_the_same():
    expected = MODEL(jnp.array([[1, 2, 3]]))
    for dtype in ("int8", "uint8", "int16", "uint16", "int32", "int64"):
        tokens = np.array([[1, 2, 3]], dtype)
        np.testing.assert_array_equal(MODEL(tokens), expected)
    np.testing.assert_array_equal(MODEL(jnp.array([[1, 2, 3]], jnp.uint8)), expected)


def test_no_sequences_and_no_positions_give_no_logits():
    for shape in ((0, 3), (1, 0)):
        logits = MODEL(jnp.zeros(shape, int))
        assert logits.shape == (*shape, MODEL.config.sizes.d_vocab_out)


def test_a_small_type_of_tokens_reaches_a_large_vocabulary():
    config = TransformerConfig(d_vocab=300, n_ctx=6, n_layers=1, d_model=8, n_heads=2)
    model = Transformer(config, key=jr.key(0))
    found = model(jnp.array([[255, 1]], jnp.uint8))
    np.testing.assert_array_equal(found, model(jnp.array([[255, 1]])))


def test_gradients_of_valid_ids_are_those_of_plain_indexing():
    tokens = jnp.array([[1, 2, 1]])
    slope = jax.grad(lambda m: m(tokens).sum())(MODEL)
    assert jnp.isfinite(slope.W_E).all()
    assert (slope.W_E[3:] == 0).all()
    assert (slope.W_E[1:3] != 0).any()


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([[1, 2, 3]], "array of ids; got list"),
        (3, "array of ids; got int"),
        (np.array([[1.0, 2.0]]), "integers; got float64"),
        (np.array([[True, False]]), "integers; got bool"),
        (np.array(3), "axis of positions"),
    ],
)
def test_what_are_no_tokens_is_named(tokens, words):
    # Past the shape checks of the tests, as users without them come in.
    from jaxcirc.models._tokens import checked_tokens

    with pytest.raises(ValueError, match=words):
        checked_tokens(tokens, 11)


def test_a_model_says_how_it_is_compiled():
    with pytest.raises(TypeError, match="filter_jit"):
        jax.jit(MODEL)(jnp.array([[1, 2]]))
    tokens = jnp.array([[1, 2]])
    ours = jax.jit(lambda model, tokens: model(tokens))(MODEL, tokens)
    np.testing.assert_array_equal(ours, eqx.filter_jit(MODEL)(tokens))
