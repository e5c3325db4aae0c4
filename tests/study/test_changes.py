"""Change points of series whose changes are known."""

import numpy as np
import pytest
import xarray as xr

from jaxcirc.study import change_table, changes

RNG = np.random.default_rng(0)


def test_a_step_is_found_where_it_is():
    y = np.r_[np.full(14, 1.0), np.full(26, 3.0)] + 0.05 * RNG.normal(size=40)
    (change,) = changes(y)
    assert change.place == 14
    assert change.before == pytest.approx(1, abs=0.1)
    assert change.after == pytest.approx(3, abs=0.1)
    assert change.strength > 3
    assert change.share > 0.9


def test_a_sigmoid_changes_at_its_middle():
    y = 1 / (1 + np.exp(-(np.arange(50) - 30) / 1.5))
    (change,) = changes(y)
    assert abs(change.place - 30) <= 1


def test_two_steps_are_two_changes():
    y = np.r_[np.zeros(15), np.ones(15), np.full(15, -1.0)] + 0.02 * RNG.normal(size=45)
    assert [c.place for c in changes(y)] == [15, 30]


def test_noise_changes_in_five_percent_of_series_or_so():
    found = [bool(changes(RNG.normal(size=30))) for _ in range(300)]
    assert 0.01 < np.mean(found) < 0.1


def test_a_drift_is_not_abrupt():
    assert all(change.share < 0.5 for change in changes(np.linspace(0, 1, 60)))


@pytest.mark.parametrize("y", [np.ones(20), np.arange(4.0), np.full(20, np.nan)])
def test_what_cannot_change_does_not(y):
    assert changes(y) == []


def test_missing_values_are_left_out():
    y = np.r_[np.zeros(10), np.ones(10)]
    y[[3, 9, 12]] = np.nan
    (change,) = changes(y)
    assert change.place == 10


def test_the_table_lists_what_moves_most_in_order_of_steps():
    steps = np.arange(0, 400, 10)
    heads = np.stack([np.where(steps >= 100 + 50 * h, 1.0, 0.0) for h in range(5)], -1)
    noise = 0.01 * RNG.normal(size=(40, 1, 1, 5))
    score = xr.DataArray(
        heads[:, None, None] + noise,
        {"step": steps},
        ("step", "seed", "layer", "head"),
    )
    flat = xr.DataArray(RNG.normal(size=(40, 1)) * 0, {"step": steps}, ("step", "seed"))
    chain = xr.DataArray(
        np.zeros((40, 1, 3)), {"step": steps}, ("step", "seed", "draw")
    )
    data = xr.Dataset({"score": score, "flat": flat, "trace": chain})
    table = change_table(xr.DataTree.from_dict({"attention": data}))
    assert len(table["change"]) == 3
    assert list(table["to_step"].values) == sorted(table["to_step"].values)
    assert set(table["quantity"].values) == {"score"}
    for where, step in zip(table["where"].values, table["to_step"].values, strict=True):
        assert step == 100 + 50 * int(where[-1])


def test_a_study_without_changes_has_an_empty_table():
    assert not change_table(xr.DataTree.from_dict({})).data_vars
