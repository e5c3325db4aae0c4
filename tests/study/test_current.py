"""A cell is shown as long as what it was measured of is what there is."""

import importlib.metadata
import json
import pathlib
import shutil

import jax.random as jr
import numpy as np
import pytest

from jaxcirc.checkpoints import TrajectoryWriter, open_trajectory
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.study import Study, StudyConfig, prepare, run

CONFIG = TransformerConfig(d_vocab=6, n_ctx=3, n_layers=1, d_model=8, n_heads=2)
ROWS = {
    "weights": {"name": "weights"},
    "all": {"metric": "cka", "components": ["resid_post"], "reference": "all"},
    "last": {"metric": "cka", "components": ["resid_post"], "reference": "last"},
    "previous": {
        "metric": "cosine_similarity",
        "components": ["W_E"],
        "reference": "previous",
    },
}


class Count:
    """A progress that counts the cells that are measured."""

    def __init__(self):
        self.cells = []

    def training(self, step, loss):
        pass

    def measuring(self, total):
        pass

    def cell(self, measurement, step):
        self.cells.append((measurement, step))


@pytest.fixture
def source(tmp_path):
    writer = TrajectoryWriter(str(tmp_path / "source"), CONFIG, {})

    def save(*steps: int, seed: int = 0):
        for step in steps:
            key = jr.fold_in(jr.key(seed), step)
            writer.save(step, Transformer(CONFIG, key=key))

    return save


@pytest.fixture
def measured(tmp_path):
    def go(out: str, names=tuple(ROWS), **more):
        rows = [{"name": "metrics", **ROWS[n], "id": n} for n in names]
        count = Count()
        config = StudyConfig(
            name="s",
            out=str(tmp_path / out),
            task={"name": "mod_add", "p": 5, "train_fraction": 0.5},
            trajectory={"source": str(tmp_path / "source")},
            measure=rows,
            **more,
        )
        return run(prepare(config), count).open(), count.cells

    return go


def same(a, b):
    assert set(a.children) == set(b.children)
    for name in a.children:
        left, right = a[name].to_dataset(), b[name].to_dataset()
        assert left["step"].values.tolist() == right["step"].values.tolist()
        for variable in left.data_vars:
            np.testing.assert_array_equal(left[variable], right[variable])


def test_a_grown_folder_is_measured_as_a_fresh_one(source, measured):
    source(0, 10)
    measured("run")
    source(5, 20)
    grown, cells = measured("run")
    fresh, _ = measured("fresh")
    same(grown, fresh)
    # What another checkpoint has no part in is not measured again.
    assert ("weights", 0) not in cells
    assert {("weights", 5), ("weights", 10), ("all", 0), ("last", 0)} <= set(cells)


def test_widened_and_narrowed_steps_are_those_of_a_fresh_run(source, measured):
    source(0, 10, 20)
    measured("run", steps=[0, 20])
    same(measured("run", steps=[0, 10, 20])[0], measured("fresh")[0])
    same(measured("run", steps=[0, 10])[0], measured("narrow", steps=[0, 10])[0])


def test_a_checkpoint_that_was_written_again_is_measured_again(source, measured):
    source(0, 10, 20)
    measured("run", ["weights"])
    source(10, seed=1)
    tree, cells = measured("run", ["weights"])
    # Its successor has moved from somewhere else.
    assert cells == [("weights", 10), ("weights", 20)]
    same(tree, measured("fresh", ["weights"])[0])
    assert measured("run", ["weights"])[1] == []


def test_a_checkpoint_that_is_gone_has_no_results(source, measured, tmp_path):
    source(0, 10, 20)
    measured("run", ["weights", "all"])
    TrajectoryWriter(str(tmp_path / "source"), CONFIG, {}).discard(10)
    same(
        measured("run", ["weights", "all"])[0],
        measured("fresh", ["weights", "all"])[0],
    )


def test_rows_that_a_study_has_dropped_are_shown_while_they_are_true(source, measured):
    source(0, 10)
    measured("run", ["weights", "last"])
    assert "last" in measured("run", ["weights"])[0].children
    source(10, seed=1)
    tree, _ = measured("run", ["weights"])
    assert tree["last"]["step"].values.tolist() == [0]


def pretend(monkeypatch, package: str):
    """A package has version 99.1 from now on; returns what knows the real ones."""
    known = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata,
        "version",
        lambda name: "99.1" if name == package else known(name),
    )
    return known


def test_another_version_of_the_library_measures_again(source, measured, monkeypatch):
    source(0, 10)
    measured("run", ["weights"])
    pretend(monkeypatch, "jaxcirc")
    assert len(measured("run", ["weights"])[1]) == 2


def test_cells_of_two_versions_of_jax_are_told(source, measured, monkeypatch, tmp_path):
    source(0, 10)
    measured("run", ["weights"])
    known = pretend(monkeypatch, "jax")
    (tmp_path / "run/cells/weights/step_00000010.nc").unlink()
    tree, cells = measured("run", ["weights"])
    assert len(cells) == 1
    counts = {known("jax"): 1, "99.1": 1}
    assert json.loads(tree.attrs["mixed"]) == {"weights": {"jax": counts}}
    sittings = json.loads(tree.attrs["sittings"])
    assert [s["versions"]["jax"] for s in sittings] == [known("jax"), "99.1"]


def test_a_retrained_reference_is_compared_with_anew(tiny, tmp_path):
    other = tmp_path / "other"
    row = {"name": "metrics", "metric": "cka", "components": ["resid_post"]}
    row["reference"] = f"{other}@8"

    def train(seed):
        shutil.rmtree(other, ignore_errors=True)
        run(prepare(tiny(f"training.seed={seed}", "measure=[]", f"out={other}")))

    def compare(out):
        config = tiny(f"measure=[{json.dumps(row)}]", f"out={tmp_path / out}")
        return run(prepare(config)).open()["metrics"]["cka:resid_post"]

    train(1)
    before = compare("run")
    train(2)
    after = compare("run")
    np.testing.assert_array_equal(after, compare("fresh"))
    assert not np.array_equal(before, after)


def test_after_an_unreadable_checkpoint_there_is_no_previous_one(
    source, measured, tmp_path
):
    source(0, 10, 20)
    (tmp_path / "source/step_00000010.safetensors").write_bytes(b"x")
    tree, _ = measured("run", ["weights", "previous"])
    assert tree["weights"]["step"].values.tolist() == [0, 20]
    assert np.isnan(tree["weights"]["update_ratio"].sel(step=20)).all()
    assert np.isnan(tree["previous"]["cosine_similarity:W_E"].sel(step=20)).all()
    assert "10" in json.loads(tree["weights"].attrs["failed"])


def test_weights_that_are_not_finite_mark_every_measurement(source, measured, tmp_path):
    source(0, 20)
    model = Transformer(CONFIG, key=jr.key(5))
    broken = model.W_E.at[0, 0].set(np.inf)
    object.__setattr__(model, "W_E", broken)
    TrajectoryWriter(str(tmp_path / "source"), CONFIG, {}).save(10, model)
    tree, _ = measured("run")
    for name in ROWS:
        assert "not finite: W_E" in json.loads(tree[name].attrs["failed"])["10"]
        assert "10" in json.loads(tree[name].attrs["non_finite"])


def test_two_writers_of_a_trajectory_lose_nothing(tmp_path):
    folder = str(tmp_path / "t")
    one, two = (TrajectoryWriter(folder, CONFIG, {}) for _ in range(2))
    model = Transformer(CONFIG, key=jr.key(0))
    for step in (0, 10, 20):
        one.save(step, model)
    two.save(5, model)
    assert open_trajectory(folder).steps == (0, 5, 10, 20)


def test_a_config_that_was_changed_in_the_index_is_noticed(tmp_path):
    folder = tmp_path / "t"
    TrajectoryWriter(str(folder), CONFIG, {}).save(
        0, Transformer(CONFIG, key=jr.key(0))
    )
    index = folder / "trajectory.json"
    index.write_text(index.read_text().replace('"parallel": false', '"parallel": true'))
    with pytest.raises(ValueError, match="trajectory.json is damaged"):
        open_trajectory(str(folder))


def test_times_and_cells_count_over_sittings(tiny):
    class Stop(Count):
        def cell(self, measurement, step):
            super().cell(measurement, step)
            if len(self.cells) == 4:
                raise KeyboardInterrupt

    prepared = prepare(tiny())
    with pytest.raises(KeyboardInterrupt):
        run(prepared, Stop())
    study = Study(prepared.config.folder)
    told = json.loads(study.open().attrs["status"])
    assert told["state"] == "stopped"
    assert sum(told["missing"].values()) == 6
    tree = run(prepared).open()
    timing, sittings = (json.loads(tree.attrs[k]) for k in ("timing", "sittings"))
    assert timing["cells"] == 10
    assert [s["cells"] for s in sittings] == [4, 6]
    assert timing["training_s"] == pytest.approx(sum(s["training_s"] for s in sittings))
    assert json.loads(tree.attrs["status"])["state"] == "complete"


def test_a_run_that_was_killed_is_not_running(tiny):
    prepared = prepare(tiny())
    study = run(prepared)
    # The last word of a process that had no time for another.
    study.record({"state": "running"})
    assert json.loads(study.open().attrs["status"])["state"] == "stopped"
    with study.lock():
        assert json.loads(study.open().attrs["status"])["state"] == "running"


def test_errors_of_any_kind_lose_one_row(tiny):
    options = "measure=[{name: gradients, n_examples: 1000000000000000000}, weights]"
    prepared = prepare(tiny(options))
    tree = run(prepared).open()
    assert tree["weights"].sizes["step"] == 5
    failed = json.loads(tree["gradients"].attrs["failed"])
    assert set(failed) == {"0", "1", "2", "4", "8"}
    assert json.loads(tree.attrs["status"])["failed"] == {"gradients": 5}
    with pytest.raises(Exception, match="."):
        run(prepared, debug=True)


def test_a_folder_is_opened_by_one_run_at_a_time(tiny):
    prepared = prepare(tiny())
    study = Study(prepared.config.folder)
    with study.lock(), pytest.raises(ValueError, match="is being written by process"):
        run(prepared)
    assert not pathlib.Path(study.path, "run.json").exists()
