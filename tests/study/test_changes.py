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


@pytest.mark.parametrize("length", [8, 30, 160])
def test_noise_changes_in_at_most_five_percent_of_series(length):
    rng = np.random.default_rng(length)
    found = [bool(changes(rng.normal(size=length))) for _ in range(600)]
    # The rate itself is at most 5%; of 600 series so many more are chance.
    assert np.mean(found) < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 600)


def test_noise_around_a_step_is_no_second_change():
    rng = np.random.default_rng(5)
    step = np.repeat([0.0, 1.0], 20)
    more = [len(changes(step + 0.05 * rng.normal(size=40))) > 1 for _ in range(300)]
    assert np.mean(more) < 0.05


def plateau_and_fall(noise, rng):
    levels = np.repeat([1.0, 0.0, -0.04], [40, 70, 50])
    return levels + noise * rng.normal(size=160)


@pytest.mark.parametrize("noise", [1e-6, 0.003, 0.01])
def test_a_small_fall_after_a_large_one_is_found(noise):
    rng = np.random.default_rng(6)
    for _ in range(10):
        found = changes(plateau_and_fall(noise, rng))
        assert any(abs(change.place - 40) <= 1 for change in found)
        small = [change for change in found if abs(change.place - 110) <= 2]
        assert len(small) == 1
        assert small[0].after - small[0].before == pytest.approx(-0.04, rel=0.3)
        assert small[0].strength > 1


@pytest.mark.parametrize("slope", [0.0, 1e-4, 5e-4])
def test_a_small_fall_is_found_in_the_tail_of_a_decay(slope):
    rng, t = np.random.default_rng(7), np.arange(160)
    y = np.exp(-t / 10) + 0.04 * (t < 110) - slope * t + 0.001 * rng.normal(size=160)
    assert any(abs(change.place - 110) <= 1 for change in changes(y))


@pytest.mark.parametrize("noise", [0.0, 1e-4, 0.001, 0.01])
@pytest.mark.parametrize("width", [0.5, 1.5, 3.0])
def test_the_tails_of_a_transition_are_no_changes(width, noise):
    rng, t = np.random.default_rng(8), np.arange(120)
    y = 1 / (1 + np.exp((60.5 - t) / width)) + noise * rng.normal(size=120)
    (change,) = changes(y)
    assert abs(change.place - 61) <= 1


def test_a_pulse_is_two_changes():
    y = np.random.default_rng(9).normal(size=160)
    y[70:76] += 6
    assert [change.place for change in changes(y)] == [70, 76]


@pytest.mark.parametrize("noise", [0.0, 0.005, 0.02])
def test_a_ramp_is_a_few_slow_steps(noise):
    y = np.linspace(0, 1, 160) + noise * np.random.default_rng(10).normal(size=160)
    found = changes(y)
    assert 1 <= len(found) <= 3
    assert all(change.share < 0.5 for change in found)


def test_changes_do_not_depend_on_scale_or_sign():
    y = plateau_and_fall(0.003, np.random.default_rng(11))
    places = [change.place for change in changes(y)]
    assert [change.place for change in changes(-1000 * y)] == places
    assert [change.place for change in changes(0.001 * y)] == places


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
    assert table.attrs["unlisted"] == 2
    every = change_table(xr.DataTree.from_dict({"attention": data}), most=None)
    assert every["to_step"].values.tolist() == [100, 150, 200, 250, 300]
    assert every.attrs["unlisted"] == 0


def test_a_study_without_changes_has_an_empty_table():
    table = change_table(xr.DataTree.from_dict({}))
    assert not table.data_vars
    assert (table.attrs["tested"], table.attrs["untested"]) == (0, 0)


def test_the_table_says_how_many_series_were_long_enough():
    steps = np.arange(8)
    short = np.where(steps < 5, 0.0, np.nan)
    data = xr.Dataset(
        {"long": ("step", np.repeat([0.0, 1.0], 4)), "short": ("step", short)},
        {"step": steps},
    )
    attrs = change_table(xr.DataTree.from_dict({"own": data})).attrs
    assert (attrs["tested"], attrs["untested"]) == (1, 1)
    assert (attrs["least_checkpoints"], attrs["most_checkpoints"]) == (6, 8)


def test_numbers_that_judge_others_have_no_changes():
    step = np.repeat([0.0, 1.0], 20)
    roles = {"llc": "series", "initial_loss": "diagnostic", "trace": "detail"}
    data = xr.Dataset(
        {name: ("step", step, {"role": role}) for name, role in roles.items()},
        {"step": np.arange(40)},
    )
    table = change_table(xr.DataTree.from_dict({"llc": data}))
    assert set(table["quantity"].values) == {"llc"}
    assert table.attrs["tested"] == 1


def test_seeds_are_averaged_where_there_are_any():
    y = np.repeat([0.0, 1.0], 10)
    steps = {"step": 100 * np.arange(20)}
    alone = xr.Dataset({"x": ("step", y)}, steps)
    seeds = xr.Dataset({"x": (("step", "seed"), np.stack([y, 3 * y], -1))}, steps)
    for data, after in ((alone, 1.0), (seeds, 2.0)):
        table = change_table(xr.DataTree.from_dict({"own": data}))
        assert table["to_step"].values.tolist() == [1000]
        assert table["after"].values.tolist() == [after]


def test_a_change_lies_behind_the_last_finite_checkpoint():
    y = np.repeat([0.0, 1.0], 10)
    y[8:10] = np.nan
    data = xr.Dataset({"x": ("step", y)}, {"step": 10 * np.arange(20)})
    table = change_table(xr.DataTree.from_dict({"own": data}))
    assert table["from_step"].values.tolist() == [70]
    assert table["to_step"].values.tolist() == [100]
