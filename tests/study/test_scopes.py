"""Each scope sees what it says, and what it gives is kept, whatever stops the run."""

import json
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcirc._core import find, named_leaves
from jaxcirc.checkpoints import CheckpointError, open_trajectory
from jaxcirc.models import MODELS, Transformer
from jaxcirc.study import (
    MEASUREMENTS,
    AlongRun,
    Chunk,
    Failure,
    MeasurementSpec,
    Once,
    Outcome,
    PerCheckpoint,
    PerChunk,
    Quantity,
    Snapshot,
    Study,
    StudyError,
    Used,
    _prepare_rows,
    check_run,
    prepare,
    run,
)
from jaxcirc.study._measure import Work, measure_missing
from jaxcirc.study._measurements import checked
from jaxcirc.study._scopes import chunk_program, compiled
from jaxcirc.study._store import RowFolder


class Total(PerCheckpoint):
    """The sum of the embedding; a mask as an artefact; what has changed."""

    factor: float = eqx.field(static=True)

    @property
    def needs_previous(self):
        return True

    def __call__(self, snapshot, task, *, key):
        total = self.factor * snapshot.model.W_E.sum()
        moved = total - self.factor * snapshot.previous.W_E.sum()
        return Outcome(
            {
                "total": Quantity(total, (), "", "sum of the embedding"),
                "moved": Quantity(moved, (), "", "its change", since_previous=True),
                "sign": Quantity(
                    (total > 0).astype(int), (), "", "of it", codes=("below", "above")
                ),
            },
            {"mask": {"W_E": snapshot.model.W_E > 0, "step": snapshot.step}},
            Failure((snapshot.step == 1).astype(int), "step 1 is no good ({count})"),
        )


class Together(PerChunk):
    """How many checkpoints came together, and the sums of their embeddings."""

    def __call__(self, chunk: Chunk, task, *, key):
        total = np.asarray(chunk.models.W_E.sum(axis=(-1, -2)))
        steps = np.broadcast_to(np.array(chunk.steps)[:, None], total.shape)
        return Outcome(
            {
                "total": Quantity(total, (), "", "sum"),
                "own_step": Quantity(steps, (), "", "step"),
                "size": Quantity(np.full(total.shape, len(chunk.steps)), (), "", "n"),
            }
        )


class Running(AlongRun):
    """The sum of embeddings so far, and at how many checkpoints."""

    broken: bool = eqx.field(static=True)

    def init(self, model, task, *, key):
        return {"sum": jnp.zeros(()), "n": jnp.array(0)}

    def step(self, state, snapshot, task, *, key):
        if self.broken:
            raise RuntimeError("there is no way")
        state = {"sum": state["sum"] + snapshot.model.W_E.sum(), "n": state["n"] + 1}
        names = {"sum": "running sum", "n": "checkpoints"}
        return state, Outcome({k: Quantity(state[k], (), "", names[k]) for k in names})


class Answer(Once):
    """A number that needs no checkpoint."""

    def __call__(self, task, inputs, *, key):
        values = np.arange(3.0)
        return Outcome(
            {"answer": Quantity(values, ("place",), "", "of the task")},
            {"table": {"values": jnp.arange(3.0)}},
        )

    def coords(self, config, task, *, key):
        return {"place": ["a", "b", "c"]}


def total(factor: float = 1.0) -> Total:
    return Total(factor)


def running(broken: bool = False) -> Running:
    return Running(broken)


def rows(**builders):
    return tuple(MeasurementSpec(n, n, b, {}) for n, b in builders.items())


@pytest.fixture(autouse=True)
def catalogue(monkeypatch):
    more = rows(total=total, together=Together, running=running, answer=Answer)
    monkeypatch.setattr(_prepare_rows, "MEASUREMENTS", (*MEASUREMENTS, *more))


@pytest.fixture
def study(ran, tiny):
    """(rows) -> the study of them, on the finished tiny run."""

    def of(*named: str):
        prepared = prepare(tiny(f"measure=[{', '.join(named)}]"))
        return prepared, run(prepared)

    return of


def sums(study: Study) -> dict[int, float]:
    trajectory = open_trajectory(f"{study.training_folder}/seed_0")
    return {s: float(trajectory.load(s).W_E.sum()) for s in trajectory.steps}


def test_a_function_of_a_checkpoint_has_its_step_and_the_one_before(study):
    _, found = study("total")
    total = found.open()["total"]
    expected = sums(found)
    for step, value in expected.items():
        assert float(total["total"].sel(step=step)[0]) == pytest.approx(value, rel=1e-5)
    # The runner blanks what compares with nothing.
    assert np.isnan(total["moved"].sel(step=0)).all()
    change = expected[8] - expected[4]
    assert float(total["moved"].sel(step=8)[0]) == pytest.approx(change, abs=1e-4)
    # Codes are told as the CF conventions tell them.
    assert total["sign"].attrs["flag_meanings"] == "below above"
    assert list(total["sign"].attrs["flag_values"]) == [0, 1]
    # A failure that is decided while it runs keeps the numbers and says so.
    assert json.loads(total.attrs["failed"]) == {"1": "step 1 is no good (1)"}
    assert np.isfinite(total["total"].sel(step=1)).all()


def test_artefacts_lie_beside_their_cell_and_are_part_of_it(study):
    _, found = study("total")
    model = open_trajectory(f"{found.training_folder}/seed_0").load(4)
    plain = found.artefact("total", 4, "mask")
    np.testing.assert_array_equal(plain["W_E"][0], model.W_E > 0)
    like = {
        "W_E": jax.ShapeDtypeStruct(plain["W_E"].shape, bool),
        "step": plain["step"],
    }
    again = found.artefact("total", 4, "mask", like)
    assert named_leaves(again).keys() == plain.keys()
    with pytest.raises(ValueError, match="unknown artefact of 'total' 'mas'.*'mask'"):
        found.artefact("total", 4, "mas")
    assert not check_run(found.path).faults
    # Another file of the same form is not this cell's.
    cells = pathlib.Path(found.path, "cells/total")
    other = cells / "step_00000008.mask.safetensors"
    (cells / "step_00000004.mask.safetensors").write_bytes(other.read_bytes())
    with pytest.raises(CheckpointError, match="'mask' is not the one it was with"):
        found.artefact("total", 4, "mask")
    faults = check_run(found.path, repair=True).faults
    assert [fault.path for fault in faults] == ["cells/total/step_00000004.nc"]
    assert "artefact 'mask'" in faults[0].what


def test_a_changed_checkpoint_takes_its_artefacts_along(study):
    prepared, found = study("total")
    found.row("total").remove(4)
    assert not found.row("total").artefact_files(4)
    assert found.row("total").artefact_files(8)
    run(prepared)
    assert found.row("total").artefact_files(4)


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_program_over_several_checkpoints_has_the_same_numbers(
    study, ran, tiny, tmp_path, at_once
):
    prepared = prepare(tiny("measure=[together]", f"out={tmp_path}/other"))
    other = Study(prepared.config.folder)
    other.begin(prepared, {})
    trajectories = [open_trajectory(f"{ran[1].training_folder}/seed_0")]
    work = Work(prepared, other, trajectories)
    measure_missing(work, at_once=at_once)
    together = other.open()["together"]
    for step, value in sums(ran[1]).items():
        found = float(together["total"].sel(step=step)[0])
        assert found == pytest.approx(value, rel=1e-5)
        assert int(together["own_step"].sel(step=step)[0]) == step
    assert int(together["size"].sel(step=0)[0]) == min(at_once, 5)


def test_the_coefficient_does_not_depend_on_what_is_sampled_together(
    ran, tiny, tmp_path
):
    options = "n_examples: 8, batch_size: 4, num_chains: 2, num_draws: 4, num_burnin: 2"
    found = {}
    # All five at once: other numbers leave a rest, which is one more program.
    for at_once in (1, 5):
        out = f"out={tmp_path}/llc_{at_once}"
        prepared = prepare(tiny(f"measure=[{{name: llc, {options}}}]", out))
        other = Study(prepared.config.folder)
        other.begin(prepared, {})
        trajectories = [open_trajectory(f"{ran[1].training_folder}/seed_0")]
        measure_missing(Work(prepared, other, trajectories), at_once=at_once)
        found[at_once] = other.open()["llc"]["llc"].values
    np.testing.assert_allclose(found[1], found[5], rtol=1e-3)


def test_a_state_goes_from_checkpoint_to_checkpoint(study):
    _, found = study("running")
    total = found.open()["running"]
    expected = np.cumsum([value for _, value in sorted(sums(found).items())])
    np.testing.assert_allclose(total["sum"][:, 0], expected, rtol=1e-4)
    assert total["n"].values[:, 0].tolist() == [1, 2, 3, 4, 5]


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


@pytest.mark.parametrize(
    "lost", ["step_00000008.nc", "step_00000001.nc", "state.safetensors"]
)
def test_what_is_lost_along_the_run_is_made_again_from_its_start(study, lost):
    prepared, found = study("running")
    before = found.open()["running"].to_dataset()
    # The state has seen all steps, and there is no older one to go on from.
    pathlib.Path(found.path, "cells/running", lost).unlink()
    count = Count()
    run(prepared, count)
    assert [step for _, step in count.cells] == [0, 1, 2, 4, 8]
    xr_equal(before, found.open()["running"].to_dataset())


def test_a_stop_between_cell_and_state_costs_one_step(study, tiny):
    _, found = study("{name: running, steps: [0, 1, 2, 4]}")
    state = pathlib.Path(found.path, "cells/running/state.safetensors")
    older = state.read_bytes()
    prepared = prepare(tiny("measure=[running]"))
    run(prepared)
    before = found.open()["running"].to_dataset()
    state.write_bytes(older)
    count = Count()
    run(prepared, count)
    assert [step for _, step in count.cells] == [8]
    xr_equal(before, found.open()["running"].to_dataset())


def test_a_run_stopped_along_the_way_goes_on_with_its_state(study, tiny):
    prepared, found = study("{name: running, steps: [0, 1, 2]}")
    count = Count()
    prepared = prepare(tiny("measure=[running]"))
    run(prepared, count)
    assert [step for _, step in count.cells] == [4, 8]
    total = found.open()["running"]
    expected = np.cumsum([value for _, value in sorted(sums(found).items())])
    np.testing.assert_allclose(total["sum"][:, 0], expected, rtol=1e-4)
    count = Count()
    run(prepared, count)
    assert not count.cells


def test_a_damaged_state_is_told_and_made_again(study, tiny):
    _, found = study("{name: running, steps: [0, 1, 2]}")
    path = pathlib.Path(found.path, "cells/running/state.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    faults = check_run(found.path).faults
    assert [fault.path for fault in faults] == ["cells/running/state.safetensors"]
    count = Count()
    run(prepare(tiny("measure=[running]")), count)
    assert [step for _, step in count.cells] == [0, 1, 2, 4, 8]
    expected = np.cumsum([value for _, value in sorted(sums(found).items())])
    total = found.open()["running"]
    np.testing.assert_allclose(total["sum"][:, 0], expected, rtol=1e-4)
    assert not check_run(found.path).faults


def test_an_artefact_without_a_cell_is_an_orphan(study):
    _, found = study("total")
    cells = pathlib.Path(found.path, "cells/total")
    (cells / "step_00000004.nc").unlink()
    faults = check_run(found.path, repair=True).faults
    assert [f.path for f in faults] == ["cells/total/step_00000004.mask.safetensors"]
    assert not (cells / "step_00000004.mask.safetensors").exists()


def test_a_step_that_fails_is_told_with_its_traceback(study):
    _, found = study("{name: running, broken: true}", "total")
    tree = found.open()
    failed = json.loads(tree["running"].attrs["failed"])
    assert failed["0"] == "RuntimeError: there is no way"
    assert (
        "there is no way"
        in found.row("running").read(0, failed=True).attrs["traceback"]
    )
    assert tree["total"].sizes["step"] == 5


def test_what_runs_once_has_no_step_and_no_seed(study, tiny):
    prepared, found = study("answer")
    node = found.open()["answer"]
    assert node["answer"].dims == ("place",)
    assert list(node["place"].values) == ["a", "b", "c"]
    np.testing.assert_array_equal(
        found.artefact("answer", None, "table")["values"][2], 2
    )
    assert pathlib.Path(found.path, "cells/answer/once.nc").exists()
    assert not check_run(found.path).faults
    count = Count()
    run(prepared, count)
    assert not count.cells
    with pytest.raises(StudyError, match="answer runs once, of no checkpoint"):
        prepare(tiny("measure=[{name: answer, steps: [8]}]"))


def test_the_path_of_the_weights_is_its_length_in_plain_numpy(study):
    _, found = study("weight_path")
    trajectory = open_trajectory(f"{found.training_folder}/seed_0")
    flat = [
        np.concatenate([np.ravel(x) for x in jax.tree.leaves(trajectory.load(step))])
        for step in trajectory.steps
    ]
    lines = [np.linalg.norm(b - a) for a, b in zip(flat, flat[1:], strict=False)]
    node = found.open()["weight_path"]
    length = node["length"].values[:, 0]
    np.testing.assert_allclose(length, np.cumsum([0, *lines]), rtol=1e-4)
    distance = node["distance"].values[:, 0]
    np.testing.assert_allclose(distance[-1], np.linalg.norm(flat[-1] - flat[0]), 1e-4)
    straight = node["straightness"].values[1:, 0]
    assert np.isnan(node["straightness"].values[0]).all()
    assert (straight <= 1 + 1e-5).all()
    assert straight[0] == pytest.approx(1, rel=1e-5)


class Unread(PerCheckpoint):
    """Reads a file that is not there, while it is compiled."""

    def __call__(self, snapshot, task, *, key):
        pathlib.Path("/nowhere/at/all").read_text()
        raise AssertionError


def test_a_measurement_that_cannot_read_a_file_loses_its_own_cells(study, monkeypatch):
    more = (*_prepare_rows.MEASUREMENTS, *rows(unread=Unread))
    monkeypatch.setattr(_prepare_rows, "MEASUREMENTS", more)
    _, found = study("unread", "total")
    tree = found.open()
    assert "FileNotFoundError" in json.loads(tree["unread"].attrs["failed"])["0"]
    assert tree["total"].sizes["step"] == 5


def test_a_cell_that_cannot_be_written_ends_the_study(study, monkeypatch):
    def full(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(RowFolder, "write", full)
    with pytest.raises(OSError, match="no space left"):
        study("total")


PER_CHECKPOINT = [
    spec for spec in MEASUREMENTS if isinstance(spec.build(**spec.tiny), PerCheckpoint)
]


# The study's own, one with MLPs and biases, and one with all that Gemma adds.
@pytest.mark.parametrize("family", [None, "gpt2", "gemma3"])
@pytest.mark.parametrize("spec", PER_CHECKPOINT, ids=lambda spec: spec.name)
def test_who_looks_back_says_of_what_and_nobody_else_does(tiny, spec, family):
    """`needs_previous` is declared, and so are the quantities that it is for."""
    task = "task={name: induction, n_symbols: 12, n_ctx: 16, shortest: 3, longest: 6}"
    prepared = prepare(tiny(task, *spec.tiny_study))
    measure, task, config = spec.build(**spec.tiny), prepared.task, prepared.model
    if family is not None:
        row = find(MODELS, family, kind="family")
        config = row.build(task.d_vocab, task.n_ctx, **row.tiny)
    measure.check(config, task)

    def outcome():
        model = Transformer(config, key=jax.random.key(0))
        kept = measure.observe(model, task, key=jax.random.key(1))
        inputs = dict.fromkeys(measure.uses, kept)
        shot = Snapshot(jnp.array(1), model, model, jnp.array(True), inputs)
        given = given_by(prepared, measure.takes, shot, task)
        shot = shot._replace(inputs={**inputs, **given})
        return measure(shot, task, key=jax.random.key(1))

    found = eqx.filter_eval_shape(outcome).quantities.values()
    assert any(q.since_previous for q in found) == measure.needs_previous


def given_by(prepared, takes, shot, task):
    """What rows of the study give at a checkpoint to one that takes it."""
    rows = {row.id: row for row in prepared.measurements}
    uses = {
        name: use.of
        for row in rows.values()
        if set(takes) <= set(row.uses)
        for name, use in row.uses.items()
    }
    key = jax.random.key(2)

    def found(of):
        measure = rows[of].measure
        if isinstance(measure, PerCheckpoint):
            inputs = given_by(prepared, measure.takes, shot, task)
            made = measure(shot._replace(inputs=inputs), task, key=key)
        else:
            begun = measure.init(shot.model, task, key=key)
            made = measure.step(begun, shot, task, key=key)[1]
        numbers = {name: q.values for name, q in made.quantities.items()}
        return Used(numbers, made.artefacts)

    return {name: found(uses[name]) for name in takes}


def xr_equal(a, b):
    assert list(a.data_vars) == list(b.data_vars)
    for name in a.data_vars:
        np.testing.assert_array_equal(a[name].values, b[name].values)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"norm": 1.0}, "must return an `Outcome`; got dict"),
        (
            ("layer", "head"),
            r"must name each of the axes \[2\]; got \['layer', 'head'\]",
        ),
        ((), r"must name each of the axes \[2\]; got \[\]"),
        (("step",), "'step' is an axis that every result has"),
    ],
)
def test_what_cannot_be_labelled_is_said_before_it_is_written(found, said):
    if isinstance(found, tuple):
        found = Outcome({"norm": Quantity(jnp.zeros(2), found, "", "a norm")})
    with pytest.raises(ValueError, match=said):
        checked(found)
    # Models and steps of a chunk are axes before its own.
    chunk = Outcome({"norm": Quantity(np.zeros((3, 2)), (), "", "a norm")})
    assert checked(chunk, lead=2) is chunk


class Scaled(PerCheckpoint):
    by: float

    def __call__(self, snapshot, task, *, key):
        value = self.by * snapshot.model.W_E.sum()
        return Outcome({"sum": Quantity(value, (), "", "a sum")})


def test_equal_measurements_share_a_program():
    def program(by):
        return compiled(chunk_program, Scaled(by))

    assert program(2.0) is program(2.0)
    assert program(2.0) is not program(3.0)
    # Equal to Python, and perhaps not to what computes with it.
    assert program(2.0) is not program(2)
    # Arrays have no hash, and so no program to share.
    assert program(jnp.array(2.0)) is not program(jnp.array(2.0))
