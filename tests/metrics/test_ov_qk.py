"""Scores of heads built by hand, and of random ones."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import metrics

V, M, D = 30, 16, 4


def head(seed, scale=1.0):
    keys = jr.split(jr.key(seed), 2)
    return scale * jr.normal(keys[0], (M, D)), jr.normal(keys[1], (D, M))


def dense_score(matrix):
    eigenvalues = np.linalg.eigvals(np.asarray(matrix, np.float64))
    return (eigenvalues.sum() / np.abs(eigenvalues).sum()).real


def test_scores_are_those_of_the_matrices_written_out():
    W_E, W_U = jr.normal(jr.key(0), (V, M)), jr.normal(jr.key(1), (M, V))
    W_V, W_O = head(2)
    found = metrics.copying_score(W_E, W_V, W_O, W_U)
    expected = dense_score(W_E @ W_V @ W_O @ W_U)
    assert float(found) == pytest.approx(expected, abs=1e-4)
    W_Q, W_K = head(3)[0], head(4)[0]
    found = metrics.matching_score(W_E, W_Q, W_K)
    assert float(found) == pytest.approx(
        dense_score(W_E @ W_Q @ W_K.T @ W_E.T), abs=1e-4
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_head_that_copies(sign):
    W_E = jr.normal(jr.key(0), (V, M))
    P = jnp.linalg.qr(jr.normal(jr.key(1), (M, D)))[0]
    found = metrics.copying_score(W_E, P, sign * P.T, W_E.T)
    assert float(found) == pytest.approx(sign, abs=1e-4)
    assert float(metrics.matching_score(W_E, P, sign * P)) == pytest.approx(
        sign, abs=1e-4
    )


def test_random_heads_do_not_copy_on_average():
    W_E, W_U = jr.normal(jr.key(0), (V, M)), jr.normal(jr.key(1), (M, V))
    scores = [float(metrics.copying_score(W_E, *head(10 + i), W_U)) for i in range(100)]
    assert abs(np.mean(scores)) < 3 * np.std(scores) / 10


def test_composition_is_that_of_the_matrices_written_out():
    (W_V, W_O), (read, rest) = head(0), head(1)
    a, b = W_V @ W_O, read @ rest
    norm = jnp.linalg.norm
    expected = float(norm(a @ b) / (norm(a) * norm(b)))
    found = float(metrics.composition_score(W_V, W_O, read, rest))
    assert found == pytest.approx(expected, rel=1e-4)


def test_composition_of_random_heads_is_its_baseline():
    m, d = 128, 8
    keys = jr.split(jr.key(0), (200, 4))
    shapes = ((m, d), (d, m), (m, d), (d, m))
    heads = [
        jax.vmap(lambda k, s=s: jr.normal(k, s))(keys[:, i])
        for i, s in enumerate(shapes)
    ]
    scores = jax.vmap(metrics.composition_score)(*heads)
    assert float(scores.mean()) == pytest.approx(m**-0.5, rel=0.05)


def test_aligned_rank_one_heads_compose_wholly():
    u, v, w = jr.normal(jr.key(0), (3, M))
    found = metrics.composition_score(u[:, None], v[None], v[:, None], w[None])
    assert float(found) == pytest.approx(1, rel=1e-5)


def test_heads_of_zeros_have_no_score():
    zero, (W_V, W_O) = jnp.zeros((M, D)), head(0)
    W_E = jr.normal(jr.key(0), (V, M))
    assert np.isnan(float(metrics.copying_score(W_E, zero, W_O, W_E.T)))
    assert np.isnan(float(metrics.composition_score(zero, W_O, W_V, W_O)))


def test_the_lens_of_the_last_layer_is_the_answer():
    final = jr.normal(jr.key(0), (5, 7))
    early = jr.normal(jr.key(1), (5, 7))
    assert float(metrics.lens_divergence(final, final)) == pytest.approx(0, abs=1e-6)
    p, q = (np.asarray(jax.nn.softmax(x), np.float64) for x in (final, early))
    expected = (p * np.log(p / q)).sum(axis=1).mean()
    assert float(metrics.lens_divergence(early, final)) == pytest.approx(
        expected, rel=1e-4
    )
    assert float(metrics.lens_agreement(final, final + 1)) == 1
    best = jnp.argmax(final, axis=1)
    assert float(metrics.answer_rank(final, best)) == 0
    assert float(metrics.answer_rank(jnp.zeros((5, 7)), best)) == 3


def test_a_model_with_the_same_loss_everywhere_does_not_use_context():
    assert (
        float(metrics.in_context_score(jnp.full((3, 60), 2.0), early=5, late=50)) == 0
    )
    falling = -jnp.arange(60.0)[None]
    assert float(metrics.in_context_score(falling, early=5, late=50)) == -45


def test_attention_distance_of_uniform_attention():
    n = 10
    uniform = jnp.tril(jnp.ones((n, n))) / jnp.arange(1.0, n + 1)[:, None]
    assert float(metrics.attention_distance(uniform)) == pytest.approx((n - 1) / 4)


def test_arrival_for_good_is_not_a_visit():
    steps = jnp.array([0, 1, 2, 5, 9])
    at = lambda values: int(
        metrics.convergence_step(steps, jnp.array(values), threshold=0.5)
    )
    assert at([0.9, 0.1, 0.6, 0.7, 0.8]) == 2
    assert at([0.9, 0.9, 0.9, 0.9, 0.4]) == -1
    assert at([0.5, 0.5, 0.5, 0.5, 0.5]) == 0


def test_the_rank_of_no_token_is_no_number():
    logits = jnp.arange(5.0)[None]
    assert float(metrics.answer_rank(logits, jnp.array([4]))) == 0
    for outside in (-1, 5, -100):
        assert jnp.isnan(metrics.answer_rank(logits, jnp.array([outside])))
