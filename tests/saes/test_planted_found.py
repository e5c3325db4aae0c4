"""Planted features, found by each architecture with the settings that it has."""

import jax.random as jr
import numpy as np
import pytest

from jaxcirc import saes

N, D, LATENTS, L0 = 96, 32, 144, 3.0
SMALL = {"d_in": D, "d_sae": LATENTS}
ARCHITECTURES = {
    "topk": saes.TopK(**SMALL, k=3),
    "batchtopk": saes.BatchTopK(**SMALL, k=3),
    "jumprelu": saes.JumpReLU(**SMALL, target_l0=L0),
}


@pytest.fixture(scope="module")
def truth():
    return saes.planted(
        N, D, l0=L0, n_pairs=6, n_parents=4, n_children=3, key=jr.key(0)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_nearly_all_are_found_at_their_true_number(truth, name):
    # Short form of `benchmarks/saes_planted.py`: Zipf frequencies, correlated pairs and
    # families, and no setting but the number of latents that fire.
    training = saes.Training(steps=2000, batch_size=256, buffer_batches=16)
    made = saes.train(ARCHITECTURES[name], None, None, truth, training, key=jr.key(1))
    found = saes.recovery(made.dictionary, truth, n=4000, key=jr.key(2))
    assert found.directions.mcc >= 0.9
    assert abs(float(found.firing.l0) / float(found.l0) - 1) <= 0.1
    # What is no part of a family has a latent of its own.
    alone = np.abs(found.directions.cosine)[4 + 12 : -12]
    assert alone.mean() >= 0.95
    chance = saes.mcc(jr.normal(jr.key(3), (LATENTS, D)), truth.directions)
    assert chance.mcc < 0.6
