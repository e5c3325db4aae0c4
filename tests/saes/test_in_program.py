"""Training inside of a program is training."""

import equinox as eqx
import jax
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.tasks import TASKS

SITE = ("blocks.0.hook_resid_post", "blocks.1.hook_resid_post")


def test_it_gives_what_train_gives():
    # 5 steps, 2 served batches each time: the last round is not full.
    task = next(row for row in TASKS if row.name == "induction").build(
        n_symbols=12, n_ctx=16, shortest=3, longest=6
    )
    config = TransformerConfig(task.d_vocab, n_ctx=16, n_layers=2, d_model=8, n_heads=2)
    model = Transformer(config, key=jr.key(0))
    training = saes.Training(steps=5, batch_size=8, buffer_batches=4, seeds=2)
    dictionary = saes.TopK(d_in=8, d_sae=16, k=2)
    expected = saes.train(dictionary, model, SITE, task, training, key=jr.key(1))

    @eqx.filter_jit
    def program(model, task, key):
        given = (dictionary, model, SITE, task, training)
        return saes.train_in_program(*given, key=key)

    found, record = program(model, task, jr.key(1))
    # Two compilations of one program round differently.
    for a, b in zip(
        jax.tree.leaves(found), jax.tree.leaves(expected.dictionary), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    history = expected.history["loss"]
    assert record.loss.shape == history.shape == (2, 2, 5)
    np.testing.assert_allclose(record.loss, history, rtol=1e-4)
    shapes = saes.trained_shapes(dictionary, 2, training)
    assert jax.tree.structure(shapes) == jax.tree.structure(found)
    assert [x.shape for x in jax.tree.leaves(shapes)] == [
        x.shape for x in jax.tree.leaves(found)
    ]


@pytest.mark.parametrize("row", saes.ARCHITECTURES.own, ids=lambda row: row.name)
def test_shapes_are_known_of_every_architecture_of_one_site(row):
    if {"d_out", "sites"} & set(row.tiny) or "coder" in row.name:
        pytest.skip("reads or writes another site")
    config = row.build(d_in=4, d_sae=8, **row.tiny)
    made = saes.trained_shapes(config, 3, saes.Training(seeds=2))
    assert made.W_dec.shape == (3, 2, 8, 4)
