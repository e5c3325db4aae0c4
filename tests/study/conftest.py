import shutil

import pytest

from jaxcirc.study import Study, StudyConfig, load_config, prepare, run

TINY = """
name: tiny
task: {name: mod_add, p: 5}
model: {family: attention_only, n_layers: 2, d_model: 8, n_heads: 2}
training: {steps: 8, batch_size: 4, learning_rate: 0.01, every: 4}
measure:
  - name: performance
    n_examples: 8
  - weights
"""


@pytest.fixture
def tiny_file(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def tiny(tiny_file, tmp_path):
    def load(*overrides: str) -> StudyConfig:
        return load_config(str(tiny_file), [f"out={tmp_path / 'run'}", *overrides])

    return load


@pytest.fixture(scope="session")
def finished_tiny(tmp_path_factory):
    """The folder of the tiny study, run once; not to be changed."""
    here = tmp_path_factory.mktemp("finished")
    (here / "tiny.yaml").write_text(TINY)
    config = load_config(str(here / "tiny.yaml"), [f"out={here / 'run'}"])
    run(prepare(config))
    return here / "run"


@pytest.fixture
def ran(tiny, finished_tiny, tmp_path):
    """The tiny study and its run, a copy of one's own."""
    shutil.copytree(finished_tiny, tmp_path / "run")
    return prepare(tiny()), Study(str(tmp_path / "run"))
