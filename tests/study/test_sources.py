"""Checkpoints of another run, and training that starts from a checkpoint."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from jaxcirc._core import named_leaves
from jaxcirc.checkpoints import open_trajectory
from jaxcirc.study import Study, StudyError, plan, prepare, run

RUN = ("model={}", "training={}")


@pytest.fixture
def other(finished_tiny, tmp_path):
    shutil.copytree(finished_tiny, tmp_path / "other")
    return tmp_path / "other"


def test_the_checkpoints_of_another_run_give_its_numbers(tiny, other):
    prepared = prepare(tiny(*RUN, f"run={{folder: {other}}}"))
    assert prepared.source.checkpoint_steps == (0, 1, 2, 4, 8)
    planned = plan(prepared)
    assert (planned.steps, planned.disk_bytes, planned.seeds) == (0, 0, 1)
    found = run(prepared).open()
    expected = Study(str(other)).open()
    assert set(found.children) == {"performance", "weights"}
    for name in found.children:
        for quantity, array in found[name].to_dataset().data_vars.items():
            np.testing.assert_array_equal(array, expected[name][quantity])
    assert json.loads(found.attrs["identity"])["run"] == {"folder": str(other)}


def test_training_starts_from_a_step_of_a_run(tiny, other):
    prepared = prepare(tiny("model={}", f"training.start={other}@4"))
    study = run(prepared)
    first = open_trajectory(f"{study.training_folder}/seed_0").load(0)
    start = open_trajectory(f"{other}/training/seed_0").load(4)
    for name, leaf in named_leaves(start).items():
        np.testing.assert_array_equal(named_leaves(first)[name], leaf)
    identity = json.loads(study.open().attrs["identity"])
    assert identity["start"]["name"] == f"{other}@4"
    # The last step is meant where none is said, and other weights are another run.
    with pytest.raises(StudyError, match="start.weights"):
        run(prepare(tiny("model={}", f"training.start={other}@8")))
    last = prepare(tiny("model={}", f"training.start={other}", "out=elsewhere"))
    step_8 = prepare(tiny("model={}", f"training.start={other}@8", "out=elsewhere"))
    one, two = (p.source.identity({})["start"] for p in (last, step_8))
    assert one["weights"] == two["weights"]


def test_training_starts_from_published_weights(tiny, tmp_path):
    from ..bridge.made import write_neox

    model = write_neox(tmp_path / "hf", seed=3)
    prepared = prepare(tiny("model={}", f"training.start={tmp_path / 'hf'}"))
    assert prepared.model == model.config
    study = run(prepared)
    first = open_trajectory(f"{study.training_folder}/seed_0").load(0)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(model), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model={}", "training.start=OTHER@5"), "has no step '5'; it has 5 from 0"),
        (("training.start=OTHER",), "model: training starts from .* leave this out"),
        (("model={}", "training.start=/nowhere/at/all"), "training.start: "),
        (("model={}", "training.start=OTHER", "task.p=11"), "tokens of 12, more than"),
        ((*RUN, "run={folder: /nowhere}"), "'/nowhere' holds no checkpoints"),
        (("run={folder: OTHER}",), "model: a study of a `run` trains nothing"),
        (
            (*RUN, "run={folder: OTHER}", "trajectory={source: OTHER}"),
            "checkpoints come from `trajectory`; leave one out",
        ),
    ],
)
def test_what_there_is_not_is_refused_before_any_work(
    tiny, other, words, said, tmp_path, monkeypatch
):
    # A checkout in which the demo has run has a folder of this name.
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match=said):
        prepare(tiny(*(word.replace("OTHER", str(other)) for word in words)))
    assert not pathlib.Path("runs").exists()


FIRST = "training.start={task: {name: mod_add, p: 5}, steps: 3, learning_rate: 0.01}"


def test_what_is_learnt_first_gives_the_weights_to_start_from(tiny):
    prepared = prepare(tiny(FIRST, "task.p=3", "measure=[]"))
    # One model learns both, so it has the tokens of both.
    assert prepared.model.d_vocab == 6
    assert plan(prepared).steps == prepared.source.steps == 3 + 8
    study = run(prepared)
    first = open_trajectory(f"{study.training_folder}/first/seed_0")
    begun = open_trajectory(f"{study.training_folder}/seed_0").load(0)
    for name, leaf in named_leaves(first.load(3)).items():
        np.testing.assert_array_equal(named_leaves(begun)[name], leaf)
    # Other weights to start from are another run.
    with pytest.raises(StudyError, match="start"):
        run(prepare(tiny(FIRST.replace("steps: 3", "steps: 4"), "task.p=3")))


@pytest.mark.parametrize(
    ("start", "said"),
    [
        ("{steps: 3}", "training.start.task.name: "),
        ("{task: mod_ad, steps: 3}", "training.start.task.name: unknown task 'mod_ad'"),
        ("{task: {name: mod_add, q: 5}}", "training.start.task.q"),
        ("{task: mod_add, stesp: 3}", "training.start.stesp"),
        ("{task: mod_add, seeds: 2}", "one model is trained first"),
        ("{task: mod_add, steps: 0}", "`steps` must be at least 1"),
    ],
)
def test_a_first_training_that_cannot_be_is_told_before_it(tiny, start, said):
    with pytest.raises(StudyError, match=said):
        prepare(tiny(f"training.start={start}"))


def test_a_row_looks_at_a_task_of_its_own(tiny):
    own = "{name: performance, id: own, n_examples: 8, task: {name: mod_add, p: 3}}"
    study = run(prepare(tiny(f"measure=[performance, {own}]")))
    found = study.open()
    of = lambda row: found[row]["rank_0_rate"].attrs["chance"]
    # Chance is of the answers that there are, whatever the model was taught.
    assert (of("own"), of("performance")) == (1 / 4, 1 / 6)
    # Of another task, the cells would be other numbers under the same id.
    with pytest.raises(StudyError, match="'own' made with other"):
        run(prepare(tiny(f"measure=[{own.replace('p: 3', 'p: 2')}]")))
    for wrong, said in (
        ("{name: mod_add, p: 7}", r"measure\[0\].task: it has tokens of 8, more than"),
        ("mod_ad", r"measure\[0\].task.name: unknown task"),
    ):
        with pytest.raises(StudyError, match=said):
            prepare(tiny(f"measure=[{{name: performance, task: {wrong}}}]"))
