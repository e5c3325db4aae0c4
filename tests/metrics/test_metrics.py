import hypothesis
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import strategies as st

from jaxcirc import metrics

pytestmark = pytest.mark.optimized  # as users see them

LOGITS = jr.normal(jr.key(0), (3, 5, 7))
TARGETS = jr.randint(jr.key(1), (3, 5), 0, 7)
WRONG = (TARGETS + 1) % 7
MASK = jr.bernoulli(jr.key(2), 0.6, (3, 5))


def uniform(n: int):
    return jnp.tril(jnp.ones((n, n))) / jnp.arange(1.0, n + 1)[:, None]


def test_cross_entropy_is_minus_log_probability():
    expected = []
    for logits, target, counts in zip(
        LOGITS.reshape(-1, 7), TARGETS.ravel(), MASK.ravel(), strict=True
    ):
        p = np.exp(np.asarray(logits, np.float64))
        if counts:
            expected.append(-np.log(p[target] / p.sum()))
    got = metrics.cross_entropy(LOGITS, TARGETS, MASK)
    assert float(got) == pytest.approx(np.mean(expected), rel=1e-6)


def test_a_model_that_knows_nothing_is_at_chance():
    flat = jnp.zeros((3, 5, 7))
    every = jnp.ones((3, 5), bool)
    assert float(metrics.cross_entropy(flat, TARGETS, every)) == pytest.approx(
        np.log(7)
    )
    assert float(metrics.answer_probability(flat, TARGETS, every)) == pytest.approx(
        1 / 7
    )
    assert float(metrics.logit_difference(flat, TARGETS, WRONG, every)) == 0


def test_a_sure_model_is_perfect():
    sure = 50.0 * jax.nn.one_hot(TARGETS, 7)
    assert float(metrics.cross_entropy(sure, TARGETS, MASK)) == pytest.approx(0)
    assert float(metrics.rank_0_rate(sure, TARGETS, MASK)) == 1
    assert float(metrics.accuracy(sure, TARGETS, WRONG, MASK)) == 1
    assert float(metrics.logit_difference(sure, TARGETS, WRONG, MASK)) == 50


def test_rank_0_is_harder_than_accuracy():
    logits = jnp.array([[[1.0, 2.0, 3.0]]])
    target, wrong, mask = jnp.array([[1]]), jnp.array([[0]]), jnp.array([[True]])
    assert float(metrics.accuracy(logits, target, wrong, mask)) == 1
    assert float(metrics.rank_0_rate(logits, target, mask)) == 0


def test_masked_positions_do_not_count():
    changed = jnp.where(MASK[..., None], LOGITS, 100 * LOGITS)
    for metric in (metrics.cross_entropy, metrics.answer_probability):
        assert metric(changed, TARGETS, MASK) == metric(LOGITS, TARGETS, MASK)
    assert jnp.isnan(metrics.cross_entropy(LOGITS, TARGETS, MASK & False))


@hypothesis.given(shift=st.floats(-50, 50))
@hypothesis.settings(max_examples=10, deadline=None)
def test_a_constant_added_to_logits_changes_nothing(shift):
    moved = LOGITS + jnp.float32(shift)
    for metric in (metrics.cross_entropy, metrics.answer_probability):
        assert float(metric(moved, TARGETS, MASK)) == pytest.approx(
            float(metric(LOGITS, TARGETS, MASK)), rel=1e-4
        )


def test_bfloat16_logits_are_reported_in_float32():
    for metric in (metrics.cross_entropy, metrics.answer_probability):
        assert metric(LOGITS.astype(jnp.bfloat16), TARGETS, MASK).dtype == jnp.float32


def test_uniform_causal_attention_has_the_known_scores():
    pattern = uniform(10)
    entropy = np.log(np.arange(1, 11)).mean()
    assert float(metrics.attention_entropy(pattern)) == pytest.approx(entropy)
    previous = np.mean([1 / (i + 1) for i in range(1, 10)])
    assert float(metrics.previous_token_score(pattern)) == pytest.approx(previous)
    second_copy = np.mean([1 / (i + 1) for i in range(6, 10)])
    for score in (metrics.induction_score, metrics.duplicate_token_score):
        assert float(score(pattern, period=4)) == pytest.approx(second_copy)


@pytest.mark.parametrize(
    ("score", "back"),
    [
        (metrics.previous_token_score, 1),
        (lambda p: metrics.duplicate_token_score(p, period=4), 4),
        (lambda p: metrics.induction_score(p, period=4), 3),
    ],
)
def test_a_perfect_head_scores_one_and_the_others_zero(score, back):
    for other in (1, 3, 4):
        expected = 1.0 if other == back else 0.0
        # [BOS] + r + r with r of 4 tokens is 9 long.
        assert float(score(jnp.eye(9, k=-other))) == expected


def test_entropy_of_a_single_attended_key_is_zero():
    assert float(metrics.attention_entropy(jnp.eye(6))) == 0


@hypothesis.given(scale=st.floats(1e-30, 1e30))
@hypothesis.settings(max_examples=20, deadline=None)
def test_frobenius_norm_scales_and_neither_overflows_nor_vanishes(scale):
    x = np.array([[3.0, 0.0], [0.0, 4.0]], np.float32) * np.float32(scale)
    got = float(metrics.frobenius_norm(jnp.asarray(x)))
    assert got == pytest.approx(5 * scale, rel=1e-5)


def test_frobenius_norm_of_nothing_is_zero():
    assert float(metrics.frobenius_norm(jnp.zeros((2, 2)))) == 0


def test_update_ratio_is_relative():
    x = jr.normal(jr.key(0), (4, 4))
    assert float(metrics.update_ratio(1.1 * x, x)) == pytest.approx(0.1, rel=1e-4)
    assert float(metrics.update_ratio(110 * x, 100 * x)) == pytest.approx(0.1, rel=1e-4)
    assert float(metrics.update_ratio(x, x)) == 0
    assert jnp.isnan(metrics.update_ratio(jnp.zeros(3), jnp.zeros(3)))


@pytest.mark.parametrize(
    "metric",
    [
        metrics.frobenius_norm,
        metrics.attention_entropy,
        metrics.previous_token_score,
    ],
)
def test_jit_equals_eager_vmap_equals_loop_and_gradients_are_finite(metric):
    stack = jax.nn.softmax(jr.normal(jr.key(0), (3, 6, 6)))
    together = jax.vmap(metric)(stack)
    for x, value in zip(stack, together, strict=True):
        assert float(metric(x)) == pytest.approx(float(value), rel=1e-6)
        assert float(jax.jit(metric)(x)) == pytest.approx(float(value), rel=1e-6)
        assert jnp.isfinite(jax.grad(metric)(x)).all()


@pytest.mark.parametrize("margin", [-40.0, 0.0, 10.0, 20.0, 30.0, 80.0])
def test_the_surprise_of_a_certain_answer_keeps_its_precision(margin):
    logits = jnp.zeros((1, 113)).at[0, 5].set(margin)
    where = jnp.array([5]), jnp.array([True])
    found, slope = jax.value_and_grad(metrics.cross_entropy)(logits, *where)
    others = 112 * np.exp(-margin)
    assert float(found) == pytest.approx(np.log1p(others), rel=1e-5)
    assert float(slope[0, 5]) == pytest.approx(-others / (1 + others), rel=1e-5)
    assert float(slope.sum()) == pytest.approx(0, abs=1e-6 * abs(float(slope[0, 5])))


def test_targets_that_are_no_answer_count_as_nothing_only_where_masked():
    logits, masked = LOGITS[0], jnp.array([True, True, False, True, True])
    plain = metrics.cross_entropy(logits, TARGETS[0], masked)
    for outside in (-100, -1, 7, 50_000):
        targets = TARGETS[0].at[2].set(outside)
        found, slope = jax.value_and_grad(metrics.cross_entropy)(
            logits, targets, masked
        )
        assert found == plain
        assert jnp.isfinite(slope).all()
        every = jnp.ones(5, bool)
        for metric in (metrics.cross_entropy, metrics.answer_probability):
            assert jnp.isnan(metric(logits, targets, every))


def test_answers_that_cannot_be_have_infinite_surprise():
    logits = jnp.array([[0.0, -jnp.inf, 1.0]])
    found = [
        float(metrics.cross_entropy(logits, jnp.array([i]), jnp.array([True])))
        for i in range(3)
    ]
    assert found[1] == np.inf
    assert found[0] == pytest.approx(np.log1p(np.e))


def test_positions_that_are_not_there_have_no_score():
    pattern, losses = uniform(6), jnp.arange(6.0)[None]
    for period in (0, 4, 9):
        with pytest.raises(ValueError, match="shorter `period`"):
            metrics.duplicate_token_score(pattern, period=period)
    with pytest.raises(ValueError, match="shorter `period`"):
        metrics.previous_token_score(jnp.ones((1, 1)))
    with pytest.raises(ValueError, match="inside sequences of 6"):
        metrics.in_context_score(losses, early=2, late=6)
    assert float(metrics.in_context_score(losses, early=-6, late=-1)) == 5
