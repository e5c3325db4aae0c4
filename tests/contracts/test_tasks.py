import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.objectives import LogitDifference, ProbabilityDifference
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


@pytest.fixture(scope="module", params=SPLITS)
def pairs(request, task):
    return task.pairs(6, split=request.param, key=jr.key(3))


def test_pairs_differ_in_tokens_and_in_answers(task, pairs):
    for tokens in (pairs.clean, pairs.corrupted):
        assert tokens.shape == (6, task.n_ctx)
        assert (tokens >= 0).all() & (tokens < task.d_vocab).all()
    assert (pairs.clean != pairs.corrupted).any(axis=-1).all()
    for answers in (pairs.right, pairs.wrong):
        assert answers.shape == (6, pairs.right.shape[1])
        assert ((answers >= -1) & (answers < task.n_answers)).all()
        assert (answers >= 0).any(axis=-1).all()
    for right, wrong in zip(pairs.right.tolist(), pairs.wrong.tolist(), strict=True):
        assert not ({*right} & {*wrong}) - {-1}


def test_pairs_are_of_their_split(task, pairs):
    whole = [task.examples(split) for split in SPLITS]
    if whole[0] is None:
        return
    rows = [set(map(tuple, batch.tokens.tolist())) for batch in whole]
    found = set(map(tuple, pairs.clean.tolist()))
    assert found <= rows[0] or found <= rows[1]


def test_the_named_positions_of_pairs_are_places_before_the_answer(task, pairs):
    assert "end" in pairs.positions
    for name, place in pairs.positions.items():
        assert place.shape == (6,), name
        assert ((place >= 0) & (place < task.n_ctx)).all(), name
        assert (place <= pairs.positions["end"]).all(), name


def test_a_key_decides_the_pairs_with_and_without_jit(task):
    one, two = (task.pairs(4, key=jr.key(i)) for i in (0, 1))
    again = jax.jit(lambda t, k: t.pairs(4, key=k))(task, jr.key(0))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.clean != two.clean).any()
    with pytest.raises(ValueError, match="pairs: `n` must be at least 1; got 0"):
        task.pairs(0, key=jr.key(0))


def test_who_knows_the_right_answers_is_told_apart_from_who_says_the_wrong(task, pairs):
    """A model that says one list of answers, wherever it is asked."""

    def says(answers):
        ids = jax.nn.one_hot(answers, task.n_answers).sum(axis=1)
        return lambda tokens: jnp.repeat(9.0 * ids[:, None], tokens.shape[1], axis=1)

    for objective in (LogitDifference(), ProbabilityDifference()):
        right, wrong = (
            objective(says(answers), pairs) for answers in (pairs.right, pairs.wrong)
        )
        assert (right > 0.9).all()
        assert (wrong < -0.9).all()
