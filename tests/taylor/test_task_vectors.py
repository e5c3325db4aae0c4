"""Task vectors, and models that train through another forward pass."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc import taylor
from jaxcirc._core import named_leaves
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.objectives import CrossEntropy, LogitDifference
from jaxcirc.tasks import Induction
from jaxcirc.training import Training, train

CONFIG = TransformerConfig(d_vocab=7, n_ctx=8, n_layers=2, d_model=8, n_heads=2)
TASK = Induction(6, 8, 2, 3)


@pytest.fixture(scope="module")
def models():
    return tuple(Transformer(CONFIG, key=jr.key(seed)) for seed in range(3))


def close(one, other, rtol=1e-5):
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    for a, b in pairs:
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)


def test_vectors_add_negate_and_scale(models):
    base, one, two = models
    first, second = (taylor.task_vector(base, tuned) for tuned in (one, two))
    close(first.applied(base), one)
    close((first - second + second).applied(base), one)
    close((-first).applied(one), base)
    close((first * 0.25).applied(base), first.applied(base, 0.25))
    assert float(first.cosine(first)) == pytest.approx(1, rel=1e-6)
    assert float((2.0 * first).norm()) == pytest.approx(2 * float(first.norm()))
    # All vectors from one model to fresh ones share minus its weights.
    assert 0 < float(first.cosine(second)) < 1


def test_effects_of_vectors_add_up_in_the_linearised_model_alone(models):
    base, one, two = models
    tokens = TASK.sample(3, key=jr.key(0)).tokens
    vectors = [taylor.task_vector(base, tuned) for tuned in (one, two)]
    both = (vectors[0] + vectors[1]).applied(base)

    def missed(forward):
        at_base = forward(base, tokens)
        parts = [forward(v.applied(base), tokens) - at_base for v in vectors]
        whole = forward(both, tokens) - at_base
        return float(jnp.linalg.norm(whole - sum(parts)) / jnp.linalg.norm(whole))

    linear = missed(eqx.filter_jit(taylor.linearised(base)))
    assert linear < 1e-4
    assert missed(lambda model, tokens: model(tokens)) > 100 * linear


@pytest.mark.parametrize("forward", ["linearised", "frozen_attention"])
def test_what_trains_through_another_forward_pass_loses_less(models, forward, tmp_path):
    base = models[0]
    through = {
        "linearised": taylor.linearised,
        "frozen_attention": taylor.FrozenAttention,
    }[forward](base)
    objective = taylor.Through(CrossEntropy(), through)
    training = Training(steps=8, batch_size=16, learning_rate=3e-3, every=8)
    (run,) = train(
        CONFIG, TASK, training, str(tmp_path), objective=objective, start=base
    )
    tuned = run.load(8)
    batch = TASK.sample(64, key=jr.key(5))
    losses = [float(objective.mean(model, batch)) for model in (base, tuned)]
    assert losses[1] < losses[0]
    weights = [named_leaves(model) for model in (base, tuned)]
    moved = {n for n in weights[0] if (weights[0][n] != weights[1][n]).any()}
    # Nothing reaches the loss through queries and keys where patterns are frozen.
    kept = {f"blocks.attn.{n}" for n in ("W_Q", "W_K", "b_Q", "b_K")}
    assert bool(moved & kept) is (forward == "linearised")


def test_bad_vectors_and_scores_are_refused(models):
    base, one, _ = models
    other = Transformer(
        TransformerConfig(d_vocab=5, n_ctx=8, n_layers=2, d_model=8, n_heads=2),
        key=jr.key(0),
    )
    with pytest.raises(ValueError, match="different configs"):
        taylor.task_vector(base, other)
    with pytest.raises(ValueError, match="'W_E'"):
        taylor.task_vector(base, one).applied(other)
    with pytest.raises(ValueError, match="higher for a better"):
        taylor.Through(LogitDifference(), taylor.linearised(base))
