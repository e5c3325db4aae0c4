import json
import pathlib

import jax.random as jr
import pytest
import xarray as xr

from jaxcirc.checkpoints import TrajectoryWriter
from jaxcirc.models import Transformer, TransformerConfig
from jaxcirc.study import Study, StudyConfig, check_run, prepare, run


@pytest.fixture
def folder(tmp_path):
    """A published run measured by a cheap row: nothing to train or to compile."""
    config = TransformerConfig(d_vocab=6, n_ctx=3, n_layers=1, d_model=8, n_heads=2)
    writer = TrajectoryWriter(str(tmp_path / "source"), config, {})
    for step in (0, 10):
        writer.save(step, Transformer(config, key=jr.key(step)))
    study = StudyConfig(
        name="s",
        out=str(tmp_path / "run"),
        task={"name": "mod_add", "p": 5},
        trajectory={"source": str(tmp_path / "source")},
        measure=[{"name": "weights"}],
    )
    run(prepare(study))
    return tmp_path / "run"


def flip(path: pathlib.Path, place: int = 200):
    data = bytearray(path.read_bytes())
    data[place] ^= 4
    path.write_bytes(bytes(data))


def faults(folder, **more):
    return {f.path: f.what for f in check_run(str(folder), **more).faults}


def test_a_whole_run_has_no_faults(folder):
    found = check_run(str(folder))
    assert not found.faults
    assert found.state == "complete"
    assert found.files == 5  # run.json, study.yaml, measurement.json and two cells
    assert found.summary == "the run is complete, no faults"


def test_every_damaged_file_is_named(folder):
    cell = "cells/weights/step_00000010.nc"
    flip(folder / cell)
    flip(folder / "cells/weights/measurement.json", 20)
    (folder / "study.yaml").write_text("name: other\n")
    (folder / "run.json.0a1b2c3d.tmp").write_text("half")
    told = faults(folder)
    assert set(told) == {
        cell,
        "cells/weights/measurement.json",
        "study.yaml",
        "run.json.0a1b2c3d.tmp",
    }
    assert "not those that were written" in told[cell]
    assert "not the study that run.json records" in told["study.yaml"]


def test_repair_deletes_what_the_next_run_makes_again(folder):
    before = Study(str(folder)).open()["weights"].to_dataset()
    flip(folder / "cells/weights/step_00000010.nc")
    (folder / "cells/weights/x.nc.0a1b2c3d.tmp").write_text("half")
    found = check_run(str(folder), repair=True)
    assert [fault.repaired for fault in found.faults] == [True, True]
    assert found.state == "complete"
    assert found.notes == ("weights: 1 steps are not measured",)
    config = Study(str(folder)).read_run()["study"]
    run(prepare(StudyConfig.model_validate(config)))
    assert not faults(folder)
    after = Study(str(folder)).open()["weights"].to_dataset()
    xr.testing.assert_equal(after, before)


def test_cells_of_checkpoints_that_are_gone_or_changed_are_orphans(folder):
    study = Study(str(folder))
    known = study.read_run()["checkpoints"]
    known["10"]["fingerprint"] = "another"
    study.record({"checkpoints": known, "steps": [10]})
    told = faults(folder)
    assert "no longer there" in told["cells/weights/step_00000000.nc"]
    assert "another checkpoint" in told["cells/weights/step_00000010.nc"]


def test_checkpoints_and_losses_of_a_trained_run_are_read(tiny):
    study = run(prepare(tiny("measure=[weights]")))
    folder = pathlib.Path(study.path)
    assert not faults(folder)
    # Beyond the header of each, where the numbers are.
    flip(folder / "training/seed_0/step_00000004.safetensors", -8)
    flip(folder / "training/losses.safetensors", -3)
    assert set(faults(folder, repair=True)) == {
        "training/seed_0/step_00000004.safetensors",
        "training/losses.safetensors",
    }
    assert (folder / "training/losses.safetensors").exists()


def test_the_command_says_so_and_exits_with_1(folder):
    from typer.testing import CliRunner

    from jaxcirc.cli._app import app

    call = lambda *words: CliRunner().invoke(app, ["check", str(folder), *words])
    good = call()
    assert good.exit_code == 0
    assert "the run is complete, no faults" in good.output
    flip(folder / "cells/weights/step_00000010.nc")
    bad = call()
    assert bad.exit_code == 1
    assert "step_00000010.nc" in bad.output
    repaired = call("--repair")
    assert repaired.exit_code == 0
    assert "(deleted)" in repaired.output


def test_a_damaged_record_of_the_run_is_refused_by_name(folder):
    text = json.loads((folder / "run.json").read_text())
    text["provenance"]["versions"]["jax"] = "0.0.1"
    (folder / "run.json").write_text(json.dumps(text))
    with pytest.raises(ValueError, match="run.json is damaged"):
        check_run(str(folder))
