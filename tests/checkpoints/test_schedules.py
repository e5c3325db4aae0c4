import pytest

from jaxcirc.checkpoints import SCHEDULES, schedule

POWERS = [2**i for i in range(10)]
# The published checkpoints of Pythia, 143,000 steps.
PYTHIA = {
    "all": [0, *POWERS, *range(1000, 143_001, 1000)],
    "linear": list(range(1000, 143_001, 1000)),
    "exponential": [
        *POWERS,
        1000,
        2000,
        4000,
        8000,
        16000,
        33000,
        66000,
        131000,
        143000,
    ],
    "exponential_plus_detail": [
        *POWERS,
        *range(1000, 15_001, 1000),
        *range(20_000, 65_001, 5000),
        *range(70_000, 140_001, 10_000),
        143_000,
    ],
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_pythia_schedules_are_exact(name):
    assert list(schedule(name, 143_000)) == PYTHIA[name]


def test_pythia_schedules_have_the_known_lengths():
    lengths = {name: len(schedule(name, 143_000)) for name in SCHEDULES}
    # 18 and 43 steps as published, and the last one.
    assert lengths == {
        "all": 154,
        "linear": 143,
        "exponential": 19,
        "exponential_plus_detail": 44,
    }


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("last", [1, 7, 500, 1234])
@pytest.mark.parametrize("every", [3, 100])
def test_steps_are_sorted_unique_within_the_run_and_end_it(name, last, every):
    steps = schedule(name, last, every=every)
    assert list(steps) == sorted(set(steps))
    assert steps[-1] == last
    assert steps[0] >= 0


def test_bad_schedules_are_named():
    with pytest.raises(ValueError, match="did you mean 'exponential'"):
        schedule("exponental", 10)
    with pytest.raises(ValueError, match="at least 1"):
        schedule("all", 10, every=0)
