import json
import pathlib

import jax
import numpy as np
import pytest
import xarray as xr

from jaxcirc._core import find
from jaxcirc.checkpoints import CheckpointError, open_trajectory
from jaxcirc.metrics import cross_entropy
from jaxcirc.study import MEASUREMENTS, Study, StudyError, plan, prepare, run
from jaxcirc.study._measure import Work, measure_missing
from jaxcirc.training import TrainingDiverged


class Record:
    """A progress that remembers."""

    def __init__(self):
        self.cells, self.total, self.steps = [], None, []

    def training(self, step, loss):
        self.steps.append(step)

    def measuring(self, total):
        self.total = total

    def cell(self, measurement, step):
        self.cells.append((measurement, step))


def test_a_run_gives_labelled_results_with_units_and_origin(ran):
    tree = ran[1].open()
    assert set(tree.children) == {"training", "performance", "weights"}
    loss = tree["performance"]["loss"]
    assert loss.dims == ("step", "seed", "split")
    assert loss.attrs["units"] == "nats"
    assert list(loss["split"].values) == ["train", "test"]
    assert list(loss["step"].values) == [0, 1, 2, 4, 8]
    assert tree["training"]["loss"].shape == (1, 8)
    assert np.isfinite(tree["training"]["loss"]).all()
    assert json.loads(tree.attrs["provenance"])["versions"]["jax"] == jax.__version__
    attrs = tree["performance"].attrs
    assert {"config_hash", "versions", "measurement", "id"} <= set(attrs)
    assert "blocks.1.attn.W_Q" in tree["weights"]["part"].values


def test_measured_loss_is_that_of_the_checkpoint(ran):
    prepared, study = ran
    measured = study.open()["performance"]["loss"]
    trajectory = open_trajectory(f"{study.training_folder}/seed_0")
    batch = prepared.task.examples("train")  # 8 pairs, so the whole split is measured
    for step in trajectory.steps:
        expected = cross_entropy(trajectory.load(step)(batch.tokens), *batch[1:])
        got = float(measured.sel(step=step, split="train")[0])
        assert got == pytest.approx(float(expected), rel=1e-5)


def test_update_ratio_compares_with_the_checkpoint_before(ran):
    ratio = ran[1].open()["weights"]["update_ratio"]
    trajectory = open_trajectory(f"{ran[1].training_folder}/seed_0")
    old, new = trajectory.load(4).W_E, trajectory.load(8).W_E
    expected = np.linalg.norm(new - old) / np.linalg.norm(old)
    got = float(ratio.sel(step=8, part="W_E")[0])
    assert got == pytest.approx(expected, rel=1e-4)
    assert np.isnan(ratio.sel(step=0, part="W_E")).all()


def test_nothing_is_done_twice(ran):
    record = Record()
    run(ran[0], record)
    assert record.total == 0
    assert not record.cells
    assert not record.steps


def test_a_missing_cell_alone_is_measured_again(ran):
    prepared, study = ran
    before = study.open()
    (pathlib.Path(study.path) / "cells/weights/step_00000004.nc").unlink()
    record = Record()
    run(prepared, record)
    assert record.cells == [("weights", 4)]
    for name in ("weights", "performance"):
        xr.testing.assert_identical(
            study.open()[name].to_dataset(), before[name].to_dataset()
        )


def test_a_measurement_may_be_added_later(ran, tiny):
    record = Record()
    run(prepare(tiny("measure=[{name: performance, n_examples: 8}, patterns]")), record)
    assert {name for name, _ in record.cells} == {"patterns"}
    assert list(ran[1].open().children) == [
        "training",
        "performance",
        "patterns",
        "weights",
    ]


def test_results_do_not_depend_on_how_many_checkpoints_are_measured_at_once(
    ran, tiny, tmp_path
):
    expected = ran[1].open()["performance"].to_dataset()
    prepared = prepare(tiny())
    other = Study(str(tmp_path / "other"))
    other.begin(prepared, {})
    trajectories = [open_trajectory(f"{ran[1].training_folder}/seed_0")]
    measure_missing(Work(prepared, other, trajectories), at_once=3)
    assert not Work(prepared, other, trajectories).missing
    for step in expected["step"].values:
        cell = other.row("performance").read(int(step))
        for name in expected.data_vars:
            np.testing.assert_allclose(
                cell[name], expected[name].sel(step=step), rtol=1e-5, atol=1e-6
            )


def test_seeds_are_an_axis(tiny):
    prepared = prepare(tiny("training.seeds=3", "training.seed=5"))
    tree = run(prepared).open()
    loss = tree["performance"]["loss"]
    assert list(loss["seed"].values) == [5, 6, 7]
    assert len(set(loss.isel(step=-1, split=0).values.tolist())) == 3
    assert tree["training"]["loss"].shape == (3, 8)


def test_another_config_is_refused_key_by_key(ran, tiny):
    with pytest.raises(StudyError, match="training.learning_rate: 0.01 there, 0.02"):
        run(prepare(tiny("training.learning_rate=0.02")))
    with pytest.raises(StudyError, match="n_examples: 8 there, 4 here"):
        run(prepare(tiny("measure[0].n_examples=4")))
    assert ran[1].open()["performance"].sizes["step"] == 5


def test_changed_data_are_refused(tmp_path, tiny):
    text = tmp_path / "a.txt"
    options = (
        "task={name: text, n_ctx: 8, paths: [" + str(text) + "]}",
        "measure=[weights]",
    )
    text.write_text("one text " * 40)
    run(prepare(tiny(*options)))
    text.write_text("another! " * 40)
    with pytest.raises(StudyError, match="data: "):
        run(prepare(tiny(*options)))


def test_a_damaged_cell_is_named(ran):
    path = pathlib.Path(ran[1].path) / "cells/performance/step_00000002.nc"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="step_00000002.nc is damaged"):
        ran[1].open()


def test_divergence_leaves_what_came_before_measured(tiny):
    prepared = prepare(
        tiny(
            "training.learning_rate=1e30", "training.optimizer=sgd", "training.every=1"
        )
    )
    with pytest.raises(TrainingDiverged):
        run(prepared)
    tree = Study(prepared.config.folder).open()
    steps = tree["performance"]["step"].values
    assert steps[0] == 0
    assert 0 < len(steps) < 9


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(StudyError, match="is not a run"):
        Study(str(tmp_path)).open()


def test_an_unwritable_folder_is_named(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot create the folder"):
        run(prepare(tiny(f"out={tmp_path / 'file' / 'run'}")))


def test_results_can_live_in_an_object_store(tiny):
    study = run(prepare(tiny("out=memory://bucket/run")))
    assert study.open()["performance"].sizes["step"] == 5


def test_a_plan_says_what_a_run_does(tiny):
    prepared = prepare(tiny("training.seeds=2"))
    planned = plan(prepared)
    assert planned.cells == {"performance": (5, 0), "weights": (5, 0)}
    study = run(prepared)
    model = open_trajectory(f"{study.training_folder}/seed_0").load(0)
    assert planned.parameters == sum(x.size for x in jax.tree.leaves(model))
    assert planned.checkpoints == (0, 1, 2, 4, 8)
    assert planned.memory_bytes > 0
    # Two seeds' weights and their norms, at least.
    assert planned.measuring["weights"] > 2 * 2 * 4 * planned.parameters
    assert plan(prepared).cells["weights"] == (5, 5)


def test_a_plan_bounds_the_memory_of_measurements(tiny):
    task = "task={name: induction, n_symbols: 12, n_ctx: 16, shortest: 3, longest: 6}"

    def bytes_of(n):
        row = f"measure=[{{name: performance, n_examples: {n}}}]"
        return plan(prepare(tiny(task, row))).measuring["performance"]

    few, many = bytes_of(64), bytes_of(4096)
    # Logits of each example at each position.
    assert many - few > (4096 - 64) * 16 * 12 * 4
    # A size that no program can have is told, not raised: others are still planned.
    assert isinstance(bytes_of(10**20), str)


def test_a_study_that_cannot_fit_says_the_number(tiny, monkeypatch):
    from jaxcirc.study import _plan, check_memory

    monkeypatch.setattr(_plan, "device_memory", lambda: 1000)
    with pytest.raises(StudyError, match="this device has 1e-06 GB"):
        check_memory(prepare(tiny()))


ADDITION = "{name: mod_add, p: 7}"
INDUCTION = "{name: induction, n_symbols: 12, n_ctx: 16, shortest: 3, longest: 6}"
# What the checkpoint has no part in is measured once.
ONCE = ("llc_conformance", "llc_solution", "llc_ablations", "llc_programs")
WITH_DICTIONARIES = ("sae_features", "sae_latents")
ONCE = (*ONCE, *WITH_DICTIONARIES)


# What is NaN where a model has no behaviour yet, as none of these has.
OF_A_BEHAVIOUR = {
    "circuit": ("size", "nodes", "faithfulness", "random", "error"),
    "feature_circuit": (
        "size", "faithfulness", "completeness", "features_alone", "random", "error",
    ),
    "feature_circuit_change": ("reference_here",),
}  # fmt: skip

# Whole studies in themselves: minutes of compilation for numbers of a few chains.
LONG = ("llc_conformance", "llc_programs")
ROWS = [
    pytest.param(
        spec, id=spec.name, marks=pytest.mark.slow if spec.name in LONG else ()
    )
    for spec in MEASUREMENTS
]


@pytest.mark.parametrize("spec", ROWS)
def test_every_measurement_has_units_meaning_and_one_compilation(spec, tiny):
    once = spec.name in ONCE
    if once and spec.name not in ("llc_conformance", *WITH_DICTIONARIES):
        pytest.importorskip("tracr.compiler.compiling")
    row = {"name": spec.name, **spec.tiny}
    prepared = prepare(
        tiny(
            f"task={INDUCTION}",
            f"measure=[{json.dumps(row)}]",
            *spec.tiny_study,
        )
    )
    dataset = run(prepared).open()[spec.name].to_dataset()
    assert dataset.sizes.get("step", 1) == (1 if once else 5)
    for name, array in dataset.data_vars.items():
        # What runs once is of no step and no seed.
        assert once or array.dims[:2] == ("step", "seed")
        assert not (once and {"step", "seed"}.intersection(array.dims))
        assert "units" in array.attrs
        assert array.attrs["long_name"]
        if name in OF_A_BEHAVIOUR.get(spec.name, ()):
            continue
        assert np.isfinite(array if once else array.isel(step=slice(1, None))).any()
    assert find(MEASUREMENTS, spec.name, kind="measurement").summary
