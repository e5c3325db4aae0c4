"""What the page and the findings say of a run that is not whole."""

import json

import numpy as np
import pytest
import xarray as xr

from jaxcirc.report import findings, render
from jaxcirc.report._provenance import origin_rows, sitting_table
from jaxcirc.report._state import run_state, state_sentences, trained_steps

TRAINING = {
    "steps": 60,
    "batch_size": 8,
    "seed": 0,
    "seeds": 1,
    "optimizer": "sgd",
    "learning_rate": 20.0,
}
IDENTITY = {"training": TRAINING, "model": {"d_model": 8}, "data": "abc"}
STUDY = {"name": "demo", "model": {"family": "m"}}


def run_of(nodes=None, **attrs):
    tree = xr.DataTree.from_dict(nodes or {})
    about = {"study": STUDY, "identity": IDENTITY} | attrs
    tree.attrs = {name: json.dumps(value) for name, value in about.items()}
    return tree


def status(state, *, steps=60, diverged=None, failed=None, missing=None):
    return {
        "state": state,
        "training_steps": steps,
        "planned_steps": 60,
        "diverged": diverged or {},
        "failed": failed or {},
        "missing": missing or {},
    }


def test_a_whole_run_is_complete_and_says_no_more():
    tree = run_of(status=status("complete"))
    assert run_state(tree) == (True, "Complete: 60 steps of training.")
    assert state_sentences(tree) == []


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            status("diverged", steps=10, diverged={"2": 15}),
            "Training diverged: the loss of seed 2 at step 15 was not finite.",
        ),
        (status("stopped", steps=30), "Training stopped at step 30 of 60."),
        (status("stopped"), "Stopped before all was measured."),
        (status("running", steps=30), "Still running, at step 30 of 60."),
        (
            status("complete", failed={"perf": 3}),
            "Without a result: perf at 3 checkpoints.",
        ),
        (
            status("stopped", missing={"weights": 1, "perf": 2}),
            "Not measured: weights at 1 checkpoint and perf at 2 checkpoints.",
        ),
    ],
)
def test_what_a_run_lacks_is_the_first_finding(told, sentence):
    tree = run_of(status=told)
    assert sentence in findings(tree)[0]
    assert f'class="state bad" role="status">{run_state(tree).text}' in render(tree)


def test_a_run_without_a_record_of_its_state_is_judged_by_its_losses():
    loss = np.full((1, 60), 1.0)
    loss[:, 30:] = np.nan
    training = xr.Dataset(
        {"loss": (("seed", "step"), loss)}, {"seed": [0], "step": range(60)}
    )
    tree = run_of({"training": training})
    assert trained_steps(tree) == (30, 60)
    assert "Training stopped at step 30 of 60." in render(tree)
    assert "30 of 60 steps on 8 examples" in render(tree)


def test_published_checkpoints_have_no_training_to_be_whole():
    source = {"trajectory": {"source": "a"}, "model": {"n_layers": 1, "d_model": 8}}
    assert run_state(run_of(identity=source)) == (True, "Complete.")


def test_checkpoints_that_are_not_finite_are_told_once():
    where = json.dumps({"10": "W_E", "20": "W_E"})
    failed = json.dumps({"10": "not finite", "20": "not finite", "30": "too large"})
    attrs = {"non_finite": where, "failed": failed}
    nodes = {n: xr.Dataset(attrs={"measurement": "x", "id": n, **attrs}) for n in "ab"}
    said = findings(run_of(nodes, status=status("complete")))
    (sentence,) = [s for s in said if "Weights of" in s]
    assert "checkpoints of steps 10 and 20 are not finite" in sentence
    assert "a failed at 1 checkpoint, first at step 30: too large." in said


def test_mixed_versions_are_named():
    mix = {"jax": {"0.10.2": 3, "0.9": 2}, "numpy": {"2.4": 4, "2.3": 1}}
    mixed = {"perf": mix, "weights": mix}
    tree = run_of(status=status("complete"), mixed=mixed)
    (sentence,) = state_sentences(tree)
    assert sentence.startswith(
        "Not all cells of perf and weights were computed alike: jax 0.10.2 (3 cells) "
        "and 0.9 (2 cells); numpy 2.4 (4 cells) and 2.3 (1 cell)."
    )
    assert sentence in render(tree)


def test_times_are_sums_over_sittings():
    machine = {"device": "1 × cpu", "cores": 2, "system": "Linux", "python": "3"}
    one = {"began": "monday", "training_s": 2.5, "measuring_s": 1.0, "cells": 4}
    two = {"began": "tuesday", "training_s": 0.5, "measuring_s": 3.0, "cells": 2}
    one |= {"versions": {"jax": "0.9", "numpy": "2"}, "machine": machine}
    two |= {"versions": {"jax": "0.10", "numpy": "2"}, "machine": machine}
    tree = run_of(
        sittings=[one, two],
        provenance={"started": "monday", **machine, "versions": one["versions"]},
        timing={"training_s": 99, "measuring_s": 99, "cells": 99},
    )
    rows = dict(origin_rows(tree))
    assert rows["training"] == "3.0 s"
    assert rows["measuring"] == "4.0 s for 6 cells"
    assert rows["jax"] == "0.9 and 0.10"
    assert rows["numpy"] == "2"
    table = sitting_table(tree)
    assert table is not None
    first, second = table[1]
    assert first[-1] == "jax 0.9, numpy 2"
    assert second[-1] == "jax 0.10"
    assert "tuesday" in render(tree)


def test_one_sitting_needs_no_table():
    assert sitting_table(run_of(sittings=[{"began": "monday"}])) is None


def test_a_run_with_nothing_measured_is_a_page_that_says_so():
    tree = run_of()
    assert findings(tree)[-1] == "Nothing has been measured yet."
    page = render(tree)
    assert "Nothing has been measured yet." in page
    assert "data-csv=" not in page


def test_a_tree_of_no_study_is_refused_by_name():
    with pytest.raises(ValueError, match="no attribute 'study'"):
        render(xr.DataTree())
