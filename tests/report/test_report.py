import csv
import io
import json
import re

import numpy as np
import pytest
import xarray as xr

from jaxcirc.plots import Curve, CurvePanel, developmental_curves, step_heatmap
from jaxcirc.report import findings, render
from jaxcirc.report._csv import to_csv
from jaxcirc.report._parts import parts
from jaxcirc.report._results import step_text
from jaxcirc.report._sections import (
    llc,
    llc_ablations,
    llc_grid,
    llc_programs,
    llc_solution,
)
from jaxcirc.report._series import listing, long_rows

# As cells of older runs say it; newer ones have flags.
STATUSES = "0 converged, 1 transient, 2 non_local, 3 diverged, 4 below_initial_loss"


def performance(rates, seeds=1):
    """A node with given rank-0 rates per split, for steps 0, 10, 20, …"""
    steps = 10 * np.arange(len(rates["train"]))
    values = np.stack([rates["train"], rates["test"]], axis=-1)
    values = np.repeat(values[:, None], seeds, axis=1)
    variables = {}
    names = (
        "rank_0_rate",
        "loss",
        "accuracy",
        "answer_probability",
        "logit_difference",
    )
    for name in names:
        attrs = {"units": "share", "chance": 0.1}
        data = 1.001 - values if name == "loss" else values
        variables[name] = (("step", "seed", "split"), data, attrs)
    coords = {"step": steps, "seed": range(seeds), "split": ["train", "test"]}
    return xr.Dataset(variables, coords, {"measurement": "performance", "id": "p"})


@pytest.fixture
def tree():
    rates = {"train": [0.0, 0.5, 0.96, 1.0], "test": [0.0, 0.1, 0.2, 0.97]}
    attention = xr.Dataset(
        {
            name: (
                ("step", "seed", "layer", "head"),
                np.arange(4).reshape(4, 1, 1, 1) * np.array([[0.1, 0.3], [0.2, 0.0]]),
                {"units": "attention", "chance": 0.05},
            )
            for name in ("induction", "previous_token", "duplicate_token", "entropy")
        },
        {"step": [0, 10, 20, 30], "seed": [0], "layer": [0, 1], "head": [0, 1]},
        {"measurement": "attention", "id": "attention"},
    )
    tokens = ["0 a", "1 </script>", "2 b"]
    patterns = xr.Dataset(
        {
            "pattern": (
                ("step", "seed", "layer", "head", "query_pos", "key_pos"),
                np.full((4, 1, 2, 2, 3, 3), 1 / 3),
                {"units": "attention", "role": "detail"},
            )
        },
        {"step": [0, 10, 20, 30], "seed": [0], "query_pos": tokens, "key_pos": tokens},
        {"measurement": "patterns", "id": "patterns"},
    )
    other = xr.Dataset(
        {"rank": (("step", "seed"), np.ones((4, 1)), {"units": "directions"})},
        {"step": [0, 10, 20, 30], "seed": [0]},
        {"measurement": "something_new", "id": "something_new"},
    )
    made = xr.DataTree.from_dict(
        {
            "performance": performance(rates),
            "attention": attention,
            "patterns": patterns,
            "something_new": other,
        }
    )
    study = {"name": "<b>demo</b>", "about": "x & y", "model": {"family": "m"}}
    training = {"steps": 30, "batch_size": None, "seed": 0, "seeds": 1}
    training |= {"optimizer": "adamw", "learning_rate": 0.001}
    made.attrs = {
        "study": json.dumps(study),
        "provenance": json.dumps(
            {
                "versions": {"jax": "1"},
                "started": "now",
                "device": "d",
                "cores": 2,
                "system": "s",
                "python": "3",
            }
        ),
        "identity": json.dumps(
            {"training": training, "model": {"d_model": 8}, "data": "abc"}
        ),
        "timing": json.dumps({"training_s": 1.0, "measuring_s": 2.0, "cells": 8}),
        "task": json.dumps({"problem": "p"}),
    }
    return made


def test_findings_tell_the_steps_and_the_delay(tree):
    text = " ".join(findings(tree))
    assert "train examples the right answer comes first 100.0%" in text
    assert "more than 95% at step 20" in text
    assert "more than 95% at step 30" in text
    assert "Test follows train 10 steps later, at 1.5 times the step" in text
    assert "checkpoints of steps 20 and 30, by 77.0%" in text
    assert (
        "L0H1 is the strongest induction head at the end, with a score of 0.90" in text
    )
    assert "half of that at step 20" in text


def test_findings_say_when_something_never_happens():
    rates = {"train": [0.0, 0.5], "test": [0.0, 0.1]}
    text = " ".join(findings(xr.DataTree.from_dict({"p": performance(rates)})))
    assert "at no checkpoint" in text
    assert "Test follows" not in text


def test_findings_of_several_seeds_give_the_range():
    rates = {"train": [0.0, 1.0], "test": [0.0, 1.0]}
    text = " ".join(findings(xr.DataTree.from_dict({"p": performance(rates, 3)})))
    assert "at step 10 (3 of 3 seeds, 10 to 10)" in text


def test_the_page_is_whole_and_escapes_what_it_shows(tree):
    page = render(tree)
    assert "<b>demo</b>" not in page
    assert "&lt;b&gt;demo&lt;/b&gt;" in page
    assert "x &amp; y" in page
    # Nothing but the page's own elements: no address is loaded.
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    assert not re.search(r"""(src|href)=["']?http""", own)
    # Every script element is closed by the page itself, never by its data.
    assert page.count("<script") == page.count("</script>")
    assert "rank (directions)" in page


def test_every_number_is_in_the_long_table(tree):
    rows = list(long_rows(listing(tree)))
    kinds = {row[0] for row in rows}
    assert kinds == {"p", "attention", "something_new"}
    found = [row for row in rows if row[1:5] == ("induction", 30, 0, "layer=0 head=1")]
    assert [row[5] for row in found] == ["0.9"]


def test_step_zero_has_a_place_on_the_log_axis():
    curve = Curve("a", np.array([0, 1, 100]), np.ones((1, 3)), 0)
    figure = developmental_curves([CurvePanel("y", [curve], chance=0.5)])
    x = figure.data[0].x
    assert 0 < x[0] < x[1]
    assert figure.layout.xaxis.ticktext[0] == "0"
    assert figure.layout.xaxis.type == "log"


@pytest.mark.parametrize(
    ("values", "kind", "apart"),
    [([3.0, 4.5], "linear", None), ([0.1, 4.0], "log", 1), ([1.0, 1e30], "log", 5)],
)
def test_a_log_axis_has_labels_and_not_too_many(values, kind, apart):
    curve = Curve("a", np.array([1, 2]), np.array([values]), 0)
    axis = developmental_curves([CurvePanel("y", [curve], log=True)]).layout.yaxis
    assert (axis.type, axis.dtick) == (kind, apart)


def test_labels_are_shown_as_they_are():
    curve = Curve("<b>x</b>", np.array([1, 2]), np.ones((1, 2)), 0)
    assert developmental_curves([CurvePanel("y", [curve])]).data[0].name == (
        "&lt;b&gt;x&lt;/b&gt;"
    )
    figure = step_heatmap({"<a>": np.ones((1, 2))}, ["<bos>"], [0, 1], {"<a>": "&"})
    assert figure.data[0].y == ("&lt;bos&gt;",)
    assert figure.data[0].name == "&lt;a&gt;"


def test_a_value_between_unknown_ones_is_seen():
    """A line has two ends; what has no neighbour is a mark."""
    nan = np.nan
    values = np.array([[nan, nan, 1.0, nan, 2.0, 3.0, nan, nan, 4.0]])
    curve = Curve("y", np.arange(9), values, 0)
    (trace,) = developmental_curves([CurvePanel("y", [curve])]).data
    assert trace.mode == "lines+markers"
    assert [i for i, size in enumerate(trace.marker.size) if size] == [2, 8]


@pytest.mark.parametrize(("number", "mode"), [(1, "lines+markers"), (9, "lines")])
def test_few_checkpoints_are_marked(number, mode):
    curve = Curve("a", np.arange(number), np.ones((1, number)), 0)
    assert developmental_curves([CurvePanel("y", [curve])]).data[0].mode == mode


def test_seeds_are_thin_lines_behind_their_mean():
    curve = Curve("a", np.array([1, 2]), np.array([[0.0, 1.0], [1.0, 3.0]]), 0)
    figure = developmental_curves([CurvePanel("y", [curve])])
    assert len(figure.data) == 3
    np.testing.assert_allclose(figure.data[0].y, [0.5, 2.0])


def test_the_heat_map_has_a_button_for_each_score():
    scores = {name: np.ones((2, 3)) for name in ("a", "b")}
    figure = step_heatmap(scores, ["L0H0", "L0H1"], [0, 1, 2], {"a": "", "b": ""})
    assert [trace.visible for trace in figure.data] == [True, False]
    assert len(figure.layout.updatemenus[0].buttons) == 2


def test_large_steps_are_readable():
    assert step_text(143000) == "143,000"


def test_csv_quotes_what_needs_it():
    text = to_csv(["a", "b"], [("x,y", 1)])
    assert list(csv.reader(io.StringIO(text))) == [["a", "b"], ["x,y", "1"]]


@pytest.fixture
def llc_nodes():
    rng = np.random.default_rng(0)
    steps, seeds, chains, draws = [0, 10, 100], [0, 1], 2, 5
    shape = (len(steps), len(seeds))
    llc = np.array([[1.0, 2], [5, 6], [3, np.nan]])
    status = np.array([[4, 1], [0, 0], [0, 3]], float)
    names = ("standard_error", "rhat", "ess", "initial_loss", "sampled_loss")
    codes = {"long_name": STATUSES}
    trace = rng.normal(size=(*shape, chains, draws))
    trace[2, 1] = np.nan
    variables = {
        "llc": (("step", "seed"), llc, {"units": ""}),
        "status": (("step", "seed"), status, codes),
        "trace": (("step", "seed", "chain", "draw"), trace, {"units": ""}),
        **{n: (("step", "seed"), np.full(shape, 0.5), {"units": ""}) for n in names},
    }
    coords = {"step": steps, "seed": seeds, "chain": range(chains)}
    curve = xr.Dataset(variables, coords, {"measurement": "llc", "id": "llc"})
    dims = ("step", "seed", "step_size", "n_beta")
    values = np.array([[3.0, 3.1], [3.0, np.nan]])[None, None]
    grid = xr.Dataset(
        {
            "llc": (dims, values),
            "status": (dims, np.array([[0, 0.0], [0, 3]])[None, None], codes),
            "inside": (dims, np.array([[1.0, 1], [0, 0]])[None, None]),
            "beta_slope": (("step", "seed"), np.array([[0.02]])),
        },
        {"step": [100], "seed": [0], "step_size": ["1e-05", "1e-04"]}
        | {"n_beta": ["10", "30"]},
        {"measurement": "llc_grid", "id": "llc_grid"},
    )
    return {"llc": curve, "llc_grid": grid}


def test_llc_estimates_are_drawn_with_error_bars_and_marks(llc_nodes):
    panel = llc.panel(llc_nodes["llc"], None)
    (curve,) = panel.curves
    assert curve.notes[0] == ["below initial loss", "", ""]
    assert curve.notes[1] == ["transient", "", "diverged"]
    figure = developmental_curves([panel])
    one, two = figure.data
    assert list(one.error_y.array) == [1.0, 1.0, 1.0]
    assert [s == "x-thin-open" for s in two.marker.symbol] == [True, False, True]
    explorer = llc.traces(llc_nodes["llc"])
    assert explorer["steps"] == [0, 10, 100]
    assert np.shape(explorer["values"]) == (3, 2, 5)
    assert "LLC 5 ± 1, converged" in explorer["sentences"][1]
    json.dumps(explorer, allow_nan=False)


def test_a_plateau_is_outlined_and_said(llc_nodes):
    figure = llc_grid.figure(llc_nodes["llc_grid"])
    assert len(figure.layout.shapes) == 2
    assert figure.data[0].text[1][1] == "–<br>diverged"
    assert "near 3.05, over 2 of 4" in llc_grid.sentence(llc_nodes["llc_grid"])
    none = llc_nodes["llc_grid"].assign(inside=0 * llc_nodes["llc_grid"]["inside"])
    assert "no plateau" in llc_grid.sentence(none)
    said = " ".join(findings(xr.DataTree.from_dict(llc_nodes)))
    assert "highest at step 10, with 5.5" in said
    assert "3 of 6 LLC estimates are converged" in said
    assert "1 transient, 1 diverged, 1 below initial loss" in said


def test_a_known_solution_is_a_level_beside_the_curve(llc_nodes):
    solution = llc_nodes["llc"].sel(step=[100])
    solution = solution.assign(n_beta=0 * solution["llc"] + 80).isel(seed=[0])
    panel = llc.panel(llc_nodes["llc"], solution)
    level = panel.curves[1]
    assert (level.name, level.dashed) == ("known solution", True)
    np.testing.assert_array_equal(level.values, [[3.0, 3.0]])
    np.testing.assert_array_equal(level.steps, [0, 100])
    said = llc_solution.sentence(solution)
    assert "coefficient 3 ± 1 (converged), at n_beta 80" in said
    diverged = solution.assign(llc=solution["llc"] * np.nan)
    assert "diverged" in llc_solution.sentence(diverged)
    assert len(llc.panel(llc_nodes["llc"], diverged).curves) == 1


def test_ablations_and_programs_are_tables_with_open_marks():
    def data(dims, **values):
        return {
            k: (("step", "seed", *dims), np.array([[v]])) for k, v in values.items()
        }

    ablations = xr.Dataset(
        data(
            ("ablation",),
            llc=[30.0, np.nan],
            standard_error=[1.0, np.nan],
            status=[0.0, 3.0],
            loss=[0.001, 2.5],
            rank_0_rate=[1.0, 0.25],
        ),
        {"step": [5], "seed": [0], "ablation": ["nothing", "L0H0"]},
    )
    ablations["status"].attrs["long_name"] = STATUSES
    header, rows = llc_ablations.table(ablations)
    assert rows[0] == ("nothing", "100.0%", "0.001", "30 ± 2", "converged")
    assert rows[1] == ("L0H0", "25.0%", "2.5", "–", "diverged")
    assert len(header) == 5
    figure = llc_ablations.figure(ablations)
    assert list(figure.data[0].marker.symbol) == ["circle", "circle-open"]
    assert figure.data[0].text == (
        "intact, LLC: 30 ± 2 ",
        "without L0H0, LLC: no coefficient diverged",
    )
    one = {
        "parameters": [100.0],
        "accuracy": [1.0],
        "published": [8.4],
        "same_function": [0.0],
    }
    one |= {"published_spread": [0.0], "repeated": [8.1], "repeated_spread": [0.4]}
    programs = xr.Dataset(
        data(("program",), **one)
        | data(
            ("program", "sampler"),
            llc=[[20.0, 31.0]],
            standard_error=[[0.5, 1.0]],
            status=[[1.0, 0.0]],
        ),
        {"step": [5], "seed": [0], "program": ["peak"], "sampler": ["sgld", "hmc"]},
    )
    programs["status"].attrs["long_name"] = f"-1 not run, {STATUSES}"
    _, ((*cells,),) = llc_programs.table(programs)
    assert cells[:5] == ["peak", "100", "100.0%", "8.4, another function", "8.1 ± 0.4"]
    assert cells[5:] == ["20 ± 1", "transient", "31 ± 2", "converged"]
    said = llc_programs.sentence(programs)
    assert "within twice the spread of both, for 1" in said
    assert "0 of 1 by sgld, 1 of 1 by hmc are converged" in said
    assert len(llc_programs.figure(programs).data) == 2
    rows = programs.assign_attrs(measurement="llc_programs")
    other = rows.assign_coords(program=["palindrome"])
    (section,) = parts(xr.DataTree.from_dict({"one": rows, "two": other}))
    assert section.title == "LLC of compiled programs"
    assert section.table is not None
    assert len(section.table[1]) == 2
