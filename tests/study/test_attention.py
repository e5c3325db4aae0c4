"""Attention scores are taken at repetitions that the model knows."""

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.components import repeated_patterns
from jaxcirc.metrics import attention_entropy, induction_score
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.study import MEASUREMENTS
from jaxcirc.study._measurements import Snapshot
from jaxcirc.tasks import TASKS

KEY = jr.key(0)


def build(rows, name, **options):
    return next(r for r in rows if r.name == name).build(**options)


@pytest.fixture(scope="module")
def task():
    return build(
        TASKS, "induction", n_symbols=9, n_ctx=16, shortest=3, longest=9, bos=False
    )


@pytest.fixture(scope="module")
def model(task):
    config = TransformerConfig(
        d_vocab=task.d_vocab, n_ctx=16, n_layers=1, d_model=8, n_heads=2
    )
    return Transformer(config, key=jr.key(1))


def by_hand(model, period, score):
    pattern, _ = repeated_patterns(model, 4, KEY, period=period)
    values = [[score(one) for one in heads] for heads in pattern[0]]
    return np.asarray(values).mean(axis=0)


def test_the_tasks_own_lengths_are_the_default_and_are_told(task, model):
    measure = build(MEASUREMENTS, "attention", n_sequences=4)
    measure.check(model.config, task)
    shot = Snapshot(jnp.array(1), model, model, jnp.array(True))
    found = eqx.filter_jit(measure)(shot, task, key=KEY).quantities
    # Of 3, 6 and 9 tokens, the last does not fit a context of 16 twice.
    assert "blocks of 3 and 6 random tokens" in found["induction"].meaning
    expected = np.mean(
        [
            by_hand(model, p, lambda x, p=p: induction_score(x, period=p))
            for p in (3, 6)
        ],
        axis=0,
    )
    np.testing.assert_allclose(found["induction"].values[0], expected, rtol=1e-4)
    # Uniform attention over the second copy: places 4 to 6 of 7, and 7 to 12 of 13.
    chance = np.mean(
        [np.mean([1 / (i + 1) for i in range(p + 1, 2 * p + 1)]) for p in (3, 6)]
    )
    assert found["induction"].chance == pytest.approx(chance, rel=1e-5)


def test_without_lengths_of_its_own_a_task_is_asked_at_the_longest(model):
    task = build(TASKS, "text", n_ctx=16, max_bytes=20_000)
    measure = build(MEASUREMENTS, "attention", n_sequences=4)
    shot = Snapshot(jnp.array(1), model, model, jnp.array(True))
    found = eqx.filter_jit(measure)(shot, task, key=KEY).quantities
    assert "blocks of 7 random tokens" in found["entropy"].meaning
    np.testing.assert_allclose(
        found["entropy"].values[0], by_hand(model, 7, attention_entropy), rtol=1e-4
    )


def test_lengths_that_do_not_fit_are_refused(task, model):
    for periods in ((1,), (3, 8)):
        measure = build(MEASUREMENTS, "attention", periods=periods)
        with pytest.raises(ValueError, match="attention.*at most 7"):
            measure.check(model.config, task)
