import json
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from jaxcirc.cli._app import app

from ..study.conftest import TINY

COMMANDS = ("run", "report", "check", "list", "new", "plan")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "tiny.yaml").write_text(TINY)


def call(*words: str):
    return CliRunner().invoke(app, list(words))


def flat(text: str) -> str:
    """The words of a message, without the box around it and its line breaks."""
    return re.sub(r"[\s│╭╮╰╯─]+", " ", text)


def test_run_writes_a_report_and_says_where(tmp_path):
    result = call("run", "tiny.yaml")
    assert result.exit_code == 0, result.output
    assert "Report: runs/tiny/report.html" in result.output
    assert "On test examples the right answer comes first" in result.output
    assert "<h1>tiny</h1>" in (tmp_path / "runs/tiny/report.html").read_text()
    # A second run does nothing again, and a report can be had on its own.
    again = call("run", "tiny.yaml")
    assert again.exit_code == 0
    assert "done before" in again.output
    page = tmp_path / "runs/tiny/report.html"
    page.unlink()
    other = call("run", "tiny.yaml", "training.learning_rate=0.02")
    assert other.exit_code == 2
    assert "made with another config" in flat(other.output)
    assert not page.exists()
    assert call("report", "runs/tiny").exit_code == 0
    assert page.exists()


def test_plan_executes_nothing(tmp_path):
    result = call("plan", "tiny.yaml", "training.seeds=2")
    assert result.exit_code == 0, result.output
    for words in ("parameters each", "8 steps", "5 cells", "while training"):
        assert words in result.output
    assert not (tmp_path / "runs").exists()


def test_list_names_every_row_with_a_summary():
    from jaxcirc.components import COMPONENTS
    from jaxcirc.models import MODELS
    from jaxcirc.study import MEASUREMENTS, PACKAGED
    from jaxcirc.tasks import TASKS
    from tracr_bridge.rasp.programs import PROGRAMS

    output = call("list").output
    for row in (*PACKAGED, *TASKS, *MODELS, *MEASUREMENTS, *COMPONENTS, *PROGRAMS):
        assert row.name in output
        assert row.summary.split()[0] in output


def test_new_writes_a_file_that_plans(tmp_path):
    assert call("new", "mine").exit_code == 0
    assert call("plan", "mine.yaml").exit_code == 0
    again = call("new", "mine")
    assert again.exit_code != 0
    assert "is there already" in again.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    result = call(command, "--help")
    assert result.exit_code == 0
    assert f"jaxcirc {command}" in flat(result.output)
    assert "Example" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "inductoin"), "did you mean 'induction'"),
        (("run", "tiny.yaml", "training.stps=3"), "did you mean 'steps'"),
        (("plan", "tiny.yaml", "model.n_heads=3"), "does not divide"),
        (("report", "nowhere"), "is not a run"),
        (("run", "tiny.yaml", "out=/proc/no"), "cannot create the folder /proc/no"),
        (("run", "tiny.yaml", "out=memory://a/b"), "lives in the memory of this"),
        (("run", "tiny.yaml", "out=s3://a/b"), "s3fs"),
        (("check", "nowhere"), "is not a run"),
    ],
)
def test_errors_are_one_screen_without_traceback(words, said):
    result = call(*words)
    assert result.exit_code == 2
    assert said in flat(result.output)
    assert "Traceback" not in result.output
    assert len(result.output.splitlines()) < 25


def test_debug_shows_the_traceback():
    result = call("run", "inductoin", "--debug")
    assert result.exit_code != 0
    assert result.exception is not None
    assert "did you mean" in str(result.exception)


def test_divergence_exits_with_the_step_and_still_reports(tmp_path):
    wild = ("training.learning_rate=1e30", "training.optimizer=sgd", "training.every=1")
    result = call("run", "tiny.yaml", *wild)
    assert result.exit_code == 1
    assert "was not finite at step" in flat(result.output)
    assert (tmp_path / "runs/tiny/report.html").exists()


def test_rows_that_failed_have_an_exit_code_of_their_own(tmp_path):
    result = call(
        "run",
        "tiny.yaml",
        "measure=[{name: gradients, n_examples: 1000000000000000000}]",
    )
    assert result.exit_code == 3, result.output
    assert "gradients failed at 5 checkpoints" in flat(result.output)
    assert (tmp_path / "runs/tiny/report.html").exists()


def test_the_systems_errors_name_the_file(tmp_path):
    assert call("run", "tiny.yaml", "measure=[]").exit_code == 0
    index = tmp_path / "runs/tiny/training/seed_0/trajectory.json"
    index.unlink()
    index.symlink_to(index)
    result = call("run", "tiny.yaml")
    assert result.exit_code == 2
    assert "trajectory.json" in flat(result.output)


COMMAND = pathlib.Path(sys.executable).parent / "jaxcirc"


def command(*words: str, **environment: str):
    inherited = {"PATH": os.environ["PATH"], "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [COMMAND, *words],
        capture_output=True,
        text=True,
        errors="replace",
        env=inherited | environment,
    )


def test_a_terminal_without_unicode_is_no_reason_to_fail(tmp_path):
    """A bullet that the locale has no letter for, in findings and in `list`."""
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = command("list", **ascii_only)
    assert done.returncode == 0, done.stderr
    done = command("report", "nowhere", **ascii_only)
    assert done.returncode == 2
    assert "is not a run" in done.stderr


def test_a_user_without_a_home_can_plan(tmp_path):
    for home in ({}, {"HOME": "/proc/none"}):
        done = command("plan", "tiny.yaml", **home)
        assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny.yaml"]


def test_a_device_that_is_not_here_is_named(tmp_path):
    done = command("plan", "tiny.yaml", JAX_PLATFORMS="cuda")
    assert done.returncode == 2
    assert "JAX_PLATFORMS=cuda" in flat(done.stderr)
    assert "fault in jaxcirc" not in done.stderr


def test_sigterm_is_told_and_the_run_goes_on_later(tmp_path):
    long = ("run", "tiny.yaml", "training.steps=100000", "training.every=1000")
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(
        [COMMAND, *long],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as running:
        state = tmp_path / "runs/tiny/training/state.safetensors"
        waited = 0.0
        while not state.exists() and waited < 60:
            time.sleep(0.1)
            waited += 0.1
        running.terminate()
        _, told = running.communicate(timeout=60)
    assert running.returncode == 143
    assert "Stopped by SIGTERM" in flat(told)
    record = json.loads((tmp_path / "runs/tiny/run.json").read_text())
    assert record["state"] == "stopped"


def test_the_installed_command_caches_compiled_programs(tmp_path):
    done = command("plan", "tiny.yaml", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    assert "5 cells" in done.stdout
    assert list((tmp_path / "cache/jaxcirc/xla").iterdir())
