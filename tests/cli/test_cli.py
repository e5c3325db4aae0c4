import os
import pathlib
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from jaxcirc.cli._app import app

from ..study.conftest import TINY

CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
COMMANDS = ("run", "report", "list", "new", "plan")


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
    from jaxcirc.study import MEASUREMENTS, MODELS, PACKAGED, TASKS
    from tracr_bridge.programs import PROGRAMS

    output = call("list").output
    for row in (*PACKAGED, *TASKS, *MODELS, *MEASUREMENTS, *PROGRAMS):
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


def test_the_installed_command_caches_compiled_programs(tmp_path):
    # A cache named in the environment would be used instead of the user's.
    environment = {k: v for k, v in os.environ.items() if k != CACHE_VARIABLE}
    environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    command = pathlib.Path(sys.executable).parent / "jaxcirc"
    done = subprocess.run(
        [command, "plan", "tiny.yaml"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "5 cells" in done.stdout
    assert list((tmp_path / "cache/jaxcirc/xla").iterdir())
