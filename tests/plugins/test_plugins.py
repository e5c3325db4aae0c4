"""An installed package adds rows to every catalogue without a line of ours."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from jaxcirc._core import Catalogue, PluginWarning, _plugins, find
from jaxcirc.metrics import METRICS, MetricSpec

HERE = pathlib.Path(__file__).parent
ENTRY_POINTS = """
[jaxcirc.metrics]
toy_largest = toy_package:METRIC
gini = toy_package:TAKEN
toy_broken = toy_package_that_is_not_there:METRIC
toy_other = toy_package:METRIC
toy_no_row = toy_package:largest

[jaxcirc.tasks]
toy_task = toy_package:TASK

[jaxcirc.models]
toy_family = toy_package:MODEL

[jaxcirc.measurements]
toy_sum = toy_package:MEASUREMENT

[jaxcirc.sections]
toy_sum = toy_package:SECTION

[jaxcirc.components]
toy_rows = toy_package:COMPONENT

[jaxcirc.samplers]
toy_sgld = toy_package:SAMPLER
"""
STUDY = """
name: toys
task: {name: toy_task, p: 5}
model: {family: toy_family, d_model: 8}
training: {steps: 2, checkpoints: all, every: 2}
measure: [toy_sum]
metrics:
  - metric: toy_largest
    components: [{component: toy_rows, factor: 2.0}, resid_post]
    n_examples: 4
"""
# One process: `jaxcirc list`, then the study, whose numbers are printed.
SCRIPT = """
import json, warnings
from typer.testing import CliRunner
from jaxcirc.cli._app import app
print(CliRunner().invoke(app, ["list"]).output)
from jaxcirc.study import load_config, prepare, run
tree = run(prepare(load_config("toys.yaml", ()))).open()
last = {k: float(v.isel(step=-1).max()) for k, v in tree["metrics"].data_vars.items()}
from jaxcirc.report import findings
assert "The embedding of the toy has a sum." in findings(tree)
print("NUMBERS", json.dumps(last | {"sum": float(tree["toy_sum"]["sum"][-1].item())}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that is a package as pip would have installed it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "toy_package.py").write_text((HERE / "toy_package.py").read_text())
    info = folder / "toy-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def test_a_package_adds_a_row_of_every_kind(installed, tmp_path):
    (tmp_path / "toys.yaml").write_text(STUDY)
    path = os.pathsep.join([str(installed), str(HERE.parent.parent)])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    listed, _, numbers = done.stdout.partition("NUMBERS")
    for name in ("largest", "task", "family", "sum", "rows", "sgld"):
        assert f"  toy_{name} " in listed
    # What cannot be had is listed with its reason, and the rest stands.
    for words in (
        "'gini' of toy 0.3 is left out: jaxcirc itself has a row of that name",
        "'toy_broken' of toy 0.3 is left out: toy_package_that_is_not_there",
        "'toy_other' of toy 0.3 is left out: toy_package:METRIC calls itself",
        "'toy_no_row' of toy 0.3 is left out: toy_package:largest is function",
    ):
        assert words in listed
    found = json.loads(numbers)
    assert found["toy_largest:toy_rows"] == 2 * found["toy_largest:resid_post"]
    assert isinstance(found["sum"], float)


def test_a_row_that_cannot_be_had_is_named_once_and_where_it_is_asked_for(
    installed, monkeypatch
):
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.setattr(_plugins, "_installed", _plugins._installed.__wrapped__)
    catalogue = Catalogue("jaxcirc.metrics", METRICS.own, of=MetricSpec)
    with pytest.warns(PluginWarning) as told:
        assert find(catalogue, "toy_largest", kind="metric").units == ""
    find(catalogue, "toy_largest", kind="metric")
    assert sum("'toy_broken' of toy 0.3 is left" in str(w.message) for w in told) == 1
    with pytest.raises(ValueError, match="metric 'toy_broken': .* cannot be imported"):
        find(catalogue, "toy_broken", kind="metric")


# In a process of its own: checked shapes look into every argument, rows included.
LAZY = """
import sys, jaxcirc, jaxcirc.study, jaxcirc.components
from jaxcirc._core import _plugins, find
from jaxcirc.metrics import METRICS
assert find(METRICS, "gini", kind="metric").name == "gini"
assert _plugins._installed.cache_info().currsize == 0
assert "tracr_bridge" not in sys.modules
# More than a second of every command, most of which look for no change.
assert not {"ruptures", "scipy.stats"} & set(sys.modules)
"""


def test_the_librarys_own_rows_are_found_without_reading_what_is_installed():
    root = HERE.parent.parent
    subprocess.run([sys.executable, "-c", LAZY], check=True, cwd=root)
