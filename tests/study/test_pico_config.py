"""Files of Pico Analyze become studies that can be prepared."""

import pytest
import yaml

from jaxcirc.study import StudyConfig, StudyError, convert_pico, load_config, prepare

OLD = """
analysis_name: my analysis
metrics:
  - metric_name: cka
    data_split: val
    target_checkpoint: 80
    components:
      - {component_name: simple, data_type: activations,
         layer_suffixes: swiglu.w_2, layers: [0, 1]}
  - metric_name: norm
    norm_type: frobenius
    data_split: train
    components:
      - {component_name: ov_circuit, data_type: gradients, layers: [0, 1],
         layer_suffixes: {output_layer: attention.o_proj,
                          value_layer: attention.v_proj}}
  - metric_name: norm
    norm_type: inf
    data_split: train
    components:
      - {component_name: simple, data_type: weights,
         layer_suffixes: attention.v_proj, layers: [1]}
steps: {start: 0, end: 90, step: 40}
monitoring: {output_dir: results}
"""


def test_a_file_becomes_a_study_that_can_run(tmp_path):
    converted = convert_pico(OLD, "old.yaml")
    path = tmp_path / "new.yaml"
    path.write_text(yaml.safe_dump(converted.study))
    config = load_config(str(path), [f"out={tmp_path / 'run'}", "text.n_ctx=16"])
    assert isinstance(config, StudyConfig)
    prepared = prepare(config)
    assert {row.id for row in prepared.measurements} == {
        "metrics",
        "metrics_2",
        "metrics_3",
    }
    assert prepared.measurements[0].steps == (0, 40, 80)
    first, second, third = (row.options for row in prepared.measurements)
    assert first["metric"] == ["cka"]
    assert first["reference"] == 80
    assert first["components"][0]["component"] == "mlp.out"
    assert second["components"][0] == {
        "component": "ov",
        "data": "gradients",
        "layers": [0, 1],
    }
    # Two norms stay two: neither replaces the other.
    assert (second["metric"], third["metric"]) == (["frobenius_norm"], ["max_norm"])
    assert third["components"][0]["component"] == "blocks.attn.W_V"


def test_it_says_what_it_changed():
    notes = " ".join(convert_pico(OLD, "old.yaml").notes)
    for said in ("debiased", "W_V W_O", "goes past `end`", "max_norm", "monitoring"):
        assert said in notes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metric_name: cka", "metric_name: ckaa", "did you mean 'cka'"),
        ("norm_type: inf", "norm_type: spectral", "unknown `norm_type` 'spectral'"),
        ("swiglu.w_2", "swiglu.w_9", "did you mean 'swiglu.w_0'|layer suffix"),
        ("component_name: ov_circuit", "component_name: qk", "component_name"),
        ("steps:", "stepz:", "not an analysis file"),
        ("metrics:", "metrics: [", "not valid YAML"),
    ],
)
def test_what_it_does_not_know_is_refused(old, new, message):
    with pytest.raises(StudyError, match=message):
        convert_pico(OLD.replace(old, new), "old.yaml")


def test_the_command_writes_a_study_and_names_what_is_wrong(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from jaxcirc.cli._app import app

    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(OLD)
    command = lambda: CliRunner().invoke(app, ["import-pico-config", "old.yaml"])
    first, second = command(), command()
    assert "Wrote my_analysis.yaml" in first.output
    assert (tmp_path / "my_analysis.yaml").is_file()
    assert second.exit_code != 0
    missing = CliRunner().invoke(app, ["import-pico-config", "nothing.yaml"])
    assert missing.exit_code != 0
    assert "nothing.yaml" in missing.output + (missing.stderr or "")
