"""Dictionaries beside the features that a task has planted."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.study import StudyError, prepare, run
from jaxcirc.study._measurements._sae_truth import _beside, _named

ROWS = (
    "measure=[{name: dictionaries, layers: [1], d_sae: 8, options: {k: 2}, updates: 4,"
    " batch_size: 8, n_examples: 4}, {name: sae_truth, n_examples: 32,"
    " uses: {dictionaries: dictionaries}}]"
)
PLANTED = "task={name: superposition, n_features: 8, n_slots: 3}"


def test_a_model_names_what_is_among_its_highest_answers():
    there = jnp.array([[1.0, 1, 0, 0], [1, 0, 2, 0], [1, 0, 0, 1]])
    # The first feature is named always, the second where it is, the third never, and
    # the fourth, which is there once, is missed that once.
    logits = jnp.array([[5.0, 4, 0, 0], [5, 4, 0, 0], [5, 4, 0, 3]])
    assert int(_named(logits, there)) == 2
    assert int(_named(jnp.where(there > 0, 1.0, 0.0), there)) == 4


def test_a_feature_without_a_latent_is_not_found():
    truth = np.eye(4, dtype=np.float32)
    found = _beside(jnp.asarray(3 * truth[:3]), truth, 0.9, jr.key(0))
    assert found["found"] == 3
    assert found["mcc"] == pytest.approx(0.75, rel=1e-6)
    assert found["random"] < found["mcc"]
    nothing = _beside(jnp.zeros((0, 4)), truth, 0.9, jr.key(0))
    assert set(nothing.values()) == {0.0}


def test_the_row_has_layers_and_seeds_of_the_dictionaries(tiny):
    tree = run(prepare(tiny(ROWS, PLANTED, "training.seeds=2"))).open()
    data = tree["sae_truth"].to_dataset()
    assert data["layer"].values.tolist() == [1]
    assert data["mcc"].dims == ("step", "seed", "layer")
    assert data["represented"].dims == ("step", "seed")
    assert ((data["mcc"] >= 0) & (data["mcc"] <= 1)).all()
    assert (data["found"] <= 8).all()


def test_a_task_without_planted_features_is_refused_before_anything_runs(tiny):
    with pytest.raises(StudyError, match="plants no features"):
        prepare(tiny(ROWS))
    with pytest.raises(StudyError, match="raise `n_examples`"):
        prepare(tiny(ROWS.replace("32", "8"), PLANTED))
