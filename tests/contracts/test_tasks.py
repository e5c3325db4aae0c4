import jax
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.tasks import TASKS

SPLITS = ("train", "test")


@pytest.fixture(params=TASKS, ids=lambda spec: spec.name, scope="module")
def task(request):
    return request.param.build(**request.param.tiny)


@pytest.mark.parametrize("split", SPLITS)
def test_batches_have_the_promised_shape(task, split):
    batch = task.sample(5, split=split, key=jr.key(0))
    for part in batch:
        assert part.shape == (5, task.n_ctx)
    assert batch.mask.any(axis=-1).all()
    for part, size in zip(batch, (task.d_vocab, task.d_vocab_out), strict=False):
        assert part.min() >= 0
        assert part.max() < size


def test_a_key_decides_the_batch_with_and_without_jit(task):
    one, two = (task.sample(5, key=jr.key(i)) for i in (0, 1))
    again = jax.jit(lambda t, k: t.sample(5, key=k))(task, jr.key(0))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.tokens != two.tokens).any()


def test_corrupted_counterparts_differ_and_have_other_answers(task):
    batch = task.sample(6, key=jr.key(0))
    wrong = task.corrupt(batch, key=jr.key(1))
    assert wrong.tokens.shape == batch.tokens.shape
    assert (wrong.tokens != batch.tokens).any(axis=-1).all()
    both = np.asarray(batch.mask & wrong.mask)
    differ = np.asarray(batch.targets != wrong.targets)
    assert differ[both].mean() > 0.5


def test_tokens_can_be_shown(task):
    tokens = task.sample(1, key=jr.key(0)).tokens[0]
    shown = task.decode(tokens)
    assert len(shown) == task.n_ctx
    assert all(isinstance(word, str) and word for word in shown)


def test_the_data_are_described(task):
    facts = task.describe()
    assert facts
    assert all(isinstance(value, str) for value in facts.values())


def test_a_finite_domain_is_split_exactly(task):
    train, test = (task.examples(split) for split in SPLITS)
    if train is None:
        assert test is None
        return
    rows = {
        split: set(map(tuple, b.tokens.tolist()))
        for split, b in zip(SPLITS, (train, test), strict=True)
    }
    assert not rows["train"] & rows["test"]
    assert len(rows["train"]) == len(train.tokens)
    for split in SPLITS:
        sampled = task.sample(50, split=split, key=jr.key(2)).tokens.tolist()
        assert set(map(tuple, sampled)) <= rows[split]
