import pytest

from jaxcirc.study import StudyConfig, load_config

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
