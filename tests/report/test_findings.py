"""Sentences on results that are lost, not finite, or not there."""

import json

import numpy as np
import pytest
import xarray as xr

from jaxcirc.report import findings, render
from jaxcirc.report._heads import prominent_head
from jaxcirc.report._parts import parts
from jaxcirc.report._sections.weights import moved
from jaxcirc.study import with_changes

from .made import KINDS, Maker
from .test_report import STATUSES, performance
from .test_state import run_of, status


def heads(scores):
    """Scores of two heads of one layer, for steps 0, 10, 20, …"""
    values = np.asarray(scores, float)[:, None, None, :]
    about = {"units": "attention", "chance": 0.05}
    names = ("induction", "previous_token")
    dims = ("step", "seed", "layer", "head")
    coords = {"step": 10 * np.arange(len(values)), "seed": [0]}
    return xr.Dataset(
        {name: (dims, values, about) for name in names},
        coords,
        {"measurement": "attention", "id": "attention"},
    )


@pytest.mark.parametrize(
    ("scores", "head", "said"),
    [
        ([[0.1, 0.2], [0.9, 0.4], [0.8, 0.7]], 0, "L0H0 is the strongest"),
        # Lost: at the end another head is on top, and far below.
        ([[0.1, 0.2], [0.9, 0.2], [0.1, 0.3]], 0, "L0H0 is the strongest"),
        ([[0.1, 0.2], [0.5, 0.2], [0.1, 0.3]], 1, "L0H1 is the strongest"),
        ([[0.1, 0.2], [0.4, 0.9], [np.nan, np.nan]], 1, "at step 10, the last with"),
    ],
)
def test_findings_and_figure_are_about_one_head(scores, head, said):
    tree = run_of({"attention": heads(scores)}, status=status("complete"))
    assert prominent_head(heads(scores)["induction"]).head == head
    sentence = next(s for s in findings(tree) if "strongest induction head" in s)
    assert said in sentence
    figure = json.loads(parts(tree)[0].figure or "")
    named = [t["name"] for t in figure["data"] if t["name"].startswith("L0H")]
    assert set(named) == {f"L0H{head}"}
    assert f"L0H{head}" in sentence


def test_no_finite_score_is_said():
    said = findings(run_of({"attention": heads([[np.nan, np.nan]])}))
    assert "No induction score is finite." in said


def llc_node(llc, status_codes):
    llc, codes = np.asarray(llc, float), np.asarray(status_codes, float)
    names = ("llc", "standard_error", "rhat", "ess", "initial_loss", "sampled_loss")
    dims = ("step", "seed")
    variables = {
        name: (dims, llc if name == "llc" else np.where(np.isnan(llc), llc, 0.5))
        for name in names
    }
    trace = np.repeat(llc[..., None, None], 3, axis=-1)
    variables |= {
        "status": (dims, codes, {"long_name": STATUSES}),
        "trace": (("step", "seed", "chain", "draw"), trace, {"role": "detail"}),
    }
    coords = {"step": 10 * np.arange(len(llc)), "seed": range(llc.shape[1])}
    return xr.Dataset(variables, coords, {"measurement": "llc", "id": "llc"})


def test_a_coefficient_that_diverges_is_told_where_it_last_was():
    data = llc_node(
        [[1.0], [3.0], [2.0], [np.nan], [np.nan]], [[0], [0], [0], [3], [3]]
    )
    tree = run_of({"llc": data}, status=status("complete"))
    said = findings(tree)
    assert "2 ± 1 at step 20, the last with a finite value." in said[0]
    assert "From step 30 on, every chain diverged." in said[0]
    assert "nan" not in " ".join(said)
    assert "No chain gave a coefficient (diverged)." in render(tree)


def test_a_coefficient_of_some_seeds_says_of_which():
    tree = run_of({"llc": llc_node([[1.0, 1.0], [3.0, np.nan]], [[0, 0], [0, 3]])})
    said = " ".join(findings(tree))
    assert "3 ± 1 at the end (mean of the 1 of 2 seeds that are finite)" in said


def test_no_coefficient_at_all_is_said():
    said = " ".join(findings(run_of({"llc": llc_node([[np.nan]], [[3]])})))
    assert "At no checkpoint is there a local learning coefficient." in said


def test_losses_that_end_in_no_number_are_told_where_they_last_were():
    data = performance({"train": [0.0, 0.5, np.nan], "test": [0.0, 0.5, np.nan]})
    said = " ".join(findings(run_of({"p": data}, status=status("complete"))))
    assert "50.0% of the time at step 10, the last with a finite value" in said
    assert "nan" not in said


def test_what_is_too_short_to_change_is_said_and_not_that_nothing_changes():
    rates = {"train": [0.0, 0.5, 1.0], "test": [0.0, 0.5, 1.0]}
    said = findings(with_changes(run_of({"p": performance(rates)})))
    assert not any("No series" in s or "None of" in s for s in said)
    assert said[-1] == (
        "Changes of level were not looked for: that takes 6 checkpoints with finite "
        "values, and there are 3."
    )


def test_series_without_changes_are_counted():
    flat = {"train": [0.5] * 8, "test": [0.5] * 8}
    said = findings(with_changes(run_of({"p": performance(flat)})))
    assert said[-1] == ("None of 10 series changes its level by more than noise would.")


def test_rows_of_one_measurement_are_told_apart():
    rates = {"train": [0.0, 1.0], "test": [0.0, 1.0]}
    tree = run_of({"one": performance(rates), "two": performance(rates)})
    said = findings(tree)
    assert any(s.startswith("one: On train examples") for s in said)
    assert any(s.startswith("two: On train examples") for s in said)
    titles = render(tree)
    assert "loss\\u003cbr\\u003e(nats)\\u003cbr\\u003eone" in titles


@pytest.mark.parametrize(("steps", "uneven"), [([0, 10, 20], False), ([0, 1, 9], True)])
def test_checkpoints_are_called_uneven_only_where_they_are(steps, uneven):
    norm = (("step", "seed", "part"), np.ones((3, 1, 1)))
    data = xr.Dataset(
        {"norm": norm, "update_ratio": norm},
        {"step": steps, "seed": [0], "part": ["W_E"]},
        {"measurement": "weights", "id": "weights"},
    )
    (section,) = [s for s in parts(run_of({"weights": data})) if s.id == "weights"]
    assert ("not evenly spaced" in section.text) is uneven


def test_a_bias_that_leaves_zero_is_part_of_how_far_its_group_moved():
    dims = ("step", "seed", "part")
    groups = xr.Dataset(
        {
            "norm": (dims, np.array([[[3.0, 4.0]]])),
            "update_ratio": (dims, np.array([[[1.0, np.inf]]])),
        }
    )
    assert moved(groups).item() == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("heating", "said"),
    [(0.5, "about 0.5 is what step size"), (1e-4, ""), (np.nan, "")],
)
def test_a_coefficient_says_how_much_of_it_is_heat(heating, said):
    node = KINDS["llc"](Maker())
    told = node["heating"]
    node = node.assign(heating=(told.dims, np.full(told.shape, heating), told.attrs))
    sentence = next(s for s in findings(run_of({"llc": node})) if "highest at" in s)
    assert said in sentence
    assert ("have added" in sentence) == bool(said)


def test_a_circuit_is_told_by_its_size_and_its_strongest_composition():
    sources = ["embed", "L0H0", "L0H1", "L1H0"]
    destinations = ["L0H0.q", "L1H0.q", "L1H0.k", "logits"]
    score = np.zeros((4, 1, 4, 4))
    # The embedding and the logits have the largest scores, and compose nothing.
    score[..., 0, 0], score[..., 3, 3] = -9, -9
    score[:2, 0, 1, 1] = -1.0
    score[2:, 0, 2, 2] = [-2.0, -5.0]
    dims = ("step", "seed")
    by_edge = {
        name: ((*dims, "source", "destination"), score, {"units": "logits"})
        for name in ("score", "low", "high", "often", "kept")
    }
    whole = {
        "size": (dims, np.full((4, 1), 7.0)),
        "faithfulness": (dims, np.full((4, 1), 0.9)),
        "random": (dims, np.full((4, 1), 0.1)),
    }
    labels = {"source": sources, "destination": destinations}
    data = xr.Dataset(
        by_edge | whole,
        {"step": [0, 10, 20, 30], "seed": [0], **labels},
        {"measurement": "circuit", "id": "circuit"},
    )
    said = findings(run_of({"circuit": data}))
    (size,) = [sentence for sentence in said if "of the behaviour" in sentence]
    (composition,) = [sentence for sentence in said if "composition" in sentence]
    assert "a circuit of 7 of 16 edges keeps 0.90 of the behaviour" in size
    assert "random circuits of that size 0.10" in size
    assert "from L0H1 to the key input of L1H0" in composition
    assert "the strongest from step 20 on, with a score of 5 at the end" in composition
    assert "has half of that at step 30" in composition


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ((0.1, 0.1, 2.0, 2.2), "the circuit is lost, through patterns (QK)"),
        ((0.1, 2.0, 0.1, 2.2), "the circuit is lost, through values (OV"),
        ((0.1, 2.0, 2.0, 2.2), "the circuit is lost, through either part alone"),
        ((0.1, 0.2, 0.2, 2.2), "the circuit is lost, through both parts together"),
        ((1.7, 2.0, 1.7, 2.1), "some is forgotten, through values (OV"),
        ((1.7, 1.7, 1.7, 1.7), "nothing is lost"),
    ],
)
def test_the_part_through_which_a_circuit_is_lost_is_told(losses, said):
    node = KINDS["decompose"](Maker(steps=2))
    node["loss"].values[1, 0] = losses
    sentence = findings(run_of({"decompose": node}))[-1]
    assert f"from {losses[0]:.3g} to {losses[3]:.3g} at step 10: {said}" in sentence


def test_a_series_is_told_to_end_where_its_radius_does():
    node = KINDS["taylor"](Maker(steps=3))
    # The reference, a checkpoint inside, and one beyond the radius.
    node["status"].values[:, 0] = [2, 0, 1]
    node["relative_error"].values[:, 0] = [[np.nan] * 3, [1, 0.5, 0.1], [1, 3, 9]]
    node["radius"].values[:, 0] = [np.nan, 2.0, 0.25]
    sentence = findings(run_of({"taylor": node}))[-1]
    assert "does not reach step 20 (it is outside)" in sentence
    assert "radius there is 0.25 of the way; the last that it reaches is step 10" in (
        sentence
    )
    assert "no order is better than order 0" in sentence
    (part,) = [p for p in parts(run_of({"taylor": node})) if p.id == "taylor"]
    lines = json.loads(part.figure)["data"]
    dashed = [t for t in lines if t["line"]["dash"] == "dash" and t["name"]]
    # Of either order a line within and one beyond the radius, which meet.
    assert [t["name"] for t in dashed] == ["order 1", "order 2"]
