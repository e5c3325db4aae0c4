"""What a crosscoder over checkpoints says of its latents."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc import saes


def test_scaling_is_the_least_squares_of_each_latent():
    rng = np.random.default_rng(0)
    y, f = rng.normal(size=(50, 6)), np.maximum(rng.normal(size=(50, 4)), 0)
    d = rng.normal(size=(4, 6))
    f[:, 3] = 0
    expected = [
        np.linalg.lstsq(np.outer(f[:, i], d[i]).reshape(-1, 1), y.reshape(-1))[0][0]
        for i in range(3)
    ]
    found = saes.latent_scaling(*(jnp.asarray(v, jnp.float32) for v in (y, f, d)))
    np.testing.assert_allclose(found[:3], expected, rtol=1e-4)
    assert float(found[3]) == 0


def test_a_feature_that_was_shrunk_away_is_told_from_a_new_one():
    rng = np.random.default_rng(1)
    fires = (rng.random((3000, 2)) < 0.1) * rng.uniform(0.5, 1.5, (3000, 2))
    directions = np.eye(2, 8)
    noise = 0.1 * rng.normal(size=(3000, 8))
    # The earlier checkpoint has the first feature, but its decoder row there is 0.
    earlier = fires[:, :1] @ directions[:1] + noise
    error = jnp.asarray(earlier, jnp.float32)
    beta = saes.latent_scaling(
        error, jnp.asarray(fires, jnp.float32), jnp.asarray(directions, jnp.float32)
    )
    # The standard error is .1 / √(3000 · .1 · 1.08).
    np.testing.assert_allclose(beta, [1, 0], atol=5 * 0.1 / np.sqrt(3000 * 0.108))


def test_lives_are_stretches_that_last():
    rows = np.array(
        [
            [0.0, 0.1, 0.6, 1.0, 0.9, 0.9],  # born at 2
            [1.0, 0.8, 0.4, 0.2, 0.1, 0.0],  # dies at 3
            [0.0, 1.0, 0.0, 0.0, 0.9, 0.9],  # a spike does not count
            [0.0, 0.0, 0.0, 0.0, 0.0, 0.0],  # writes nothing
            [0.9, 1.0, 0.2, 0.2, 0.6, 0.6],  # away, and back
        ]
    )
    found = saes.norm_lives(rows)
    assert found.born.tolist() == [2, 0, 4, -1, 0]
    assert found.died.tolist() == [-1, 3, -1, -1, -1]
    assert found.peak[:3].tolist() == [3, 0, 1]


def test_shares_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="`stay` <= `enter`"):
        saes.norm_lives(np.ones((1, 2)), enter=0.2, stay=0.4)
