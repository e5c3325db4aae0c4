"""Kept keys and values change nothing but the time."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.models import Transformer, TransformerConfig, generate

from .test_transformer import perturbed, run
from .toys import toy

NAMES = (
    "rotary_interleaved_partial",
    "window_per_layer",
    "qk_norm_of_all",
    "scaled_scores",
    "gemma2_like",
)


@pytest.mark.parametrize("name", NAMES)
def test_greedy_tokens_are_those_of_whole_forwards(name):
    model = perturbed(toy(name))
    prompt = jr.randint(jr.key(1), (2, 3), 0, 13)
    found = np.asarray(generate(model, prompt, 6))
    assert found.shape == (2, 9)
    np.testing.assert_array_equal(found[:, :3], prompt)
    logits = run(model, jnp.asarray(found))
    np.testing.assert_array_equal(logits[:, 2:-1].argmax(-1), found[:, 3:])


def test_draws_follow_the_key_and_the_place():
    model = perturbed(toy("plain"))
    prompt = jnp.zeros((4, 1), int)
    draw = lambda n, seed: generate(model, prompt, n, temperature=1.0, key=jr.key(seed))
    np.testing.assert_array_equal(draw(3, 0), draw(5, 0)[:, :4])
    assert (draw(5, 0) != draw(5, 1)).any()


@pytest.mark.parametrize(
    ("options", "call", "message"),
    [
        ({"causal": False}, {"n_new": 2}, "must be causal"),
        ({"d_vocab_out": 3}, {"n_new": 2}, "7 tokens and 3 answers"),
        ({}, {"n_new": 9}, "do not fit into `n_ctx` = 8"),
        ({}, {"n_new": 0}, "one to add"),
        ({}, {"n_new": 1, "temperature": 1.0}, "give a `key`"),
        ({}, {"n_new": 1, "temperature": -1.0}, "at least 0; got -1.0"),
        ({}, {"n_new": 1, "temperature": float("nan")}, "at least 0; got nan"),
    ],
)
def test_what_cannot_be_continued(options, call, message):
    config = TransformerConfig(d_vocab=7, n_ctx=8, d_model=8, n_heads=2, **options)
    model = Transformer(config, key=jr.key(0))
    with pytest.raises(ValueError, match=message):
        generate(model, jnp.zeros((1, 3), int), **call)
