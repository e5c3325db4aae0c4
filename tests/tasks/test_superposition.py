"""Sets of features: what is there, what is asked, and how often."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from jaxcirc.tasks import Superposition

N = 20_000


@pytest.fixture(scope="module")
def task():
    return Superposition(16, 4, filled=0.5, exponent=1.0)


@pytest.fixture(scope="module")
def batch(task):
    return task.sample(N, key=jr.key(0))


def test_features_are_as_frequent_as_the_law_says(task, batch):
    slots = np.asarray(batch.tokens[:, :4])
    share = 1 / np.arange(1, 17) / (1 / np.arange(1, 17)).sum()
    first = np.bincount(slots[:, 0], minlength=18)
    assert not first[16:].any()
    errors = np.sqrt(share * (1 - share) / N)
    assert (np.abs(first[:16] / N - share) < 5 * errors).all()
    filled = (slots[:, 1:] < 16).mean(axis=0)
    assert (np.abs(filled - 0.5) < 5 * np.sqrt(0.25 / N)).all()


def test_the_answer_is_any_of_what_is_there(task, batch):
    slots, answer = np.asarray(batch.tokens[:, :4]), np.asarray(batch.targets[:, -1])
    assert (slots == answer[:, None]).any(axis=1).all()
    assert batch.mask.tolist()[0] == [False] * 4 + [True]
    # Where all four slots hold different features, each is asked for as often.
    mixed = [len(set(row)) == 4 and max(row) < 16 for row in slots.tolist()]
    place = (slots == answer[:, None])[mixed]
    n = len(place)
    assert (np.abs(place.mean(axis=0) - 0.25) < 5 * np.sqrt(0.1875 / n)).all()


def test_features_count_what_is_in_the_slots(task, batch):
    found = np.asarray(task.features(batch.tokens))
    assert found.shape == (N, 16)
    assert (found.sum(axis=1) == (np.asarray(batch.tokens) < 16).sum(axis=1)).all()
    twice = jnp.array([[3, 3, 16, 5, 17]])
    assert task.features(twice)[0, [3, 5]].tolist() == [2, 1]
    assert task.decode(twice[0]) == ["f3", "f3", "·", "f5", "?"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((1, 3, 0.5, 0.0), "at least two features"),
        ((4, 0, 0.5, 0.0), "one slot"),
        ((4, 3, 1.5, 0.0), "`filled` is a share"),
        ((4, 3, 0.5, -1.0), "not negative"),
    ],
)
def test_what_cannot_be_drawn_is_refused(given, told):
    with pytest.raises(ValueError, match=told):
        Superposition(*given)
