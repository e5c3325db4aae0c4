"""The packaged studies of programs: students learn, from held-out answers."""

import pytest

from jaxcirc.study import load_config, prepare, run

pytest.importorskip("tracr.compiler.compiling")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fractok", "peak", "palindrome"])
def test_a_student_is_right_on_held_out_sequences(name, tmp_path):
    measure = "measure=[{name: performance, n_examples: 2000}]"
    study = run(prepare(load_config(name, [f"out={tmp_path}", measure])))
    rate = study.open()["performance"]["rank_0_rate"].sel(split="test")
    assert float(rate.isel(step=0).max()) < 0.7
    assert float(rate.isel(step=-1).min()) > 0.99


def test_every_measurement_takes_a_task_with_fewer_answers_than_tokens(tmp_path):
    """A program has 7 answers and 9 tokens; what needs them alike says so."""
    path = tmp_path / "s.yaml"
    rows = "[performance, attention, weights, ov_qk, logit_lens, gradients]"
    path.write_text(
        "name: s\ntask: {name: rasp, program: sort_unique, n_examples: 200}\n"
        "model: {family: rasp, program: sort_unique}\n"
        f"training: {{steps: 2, batch_size: 4, every: 1}}\nmeasure: {rows}\n"
    )
    tree = run(prepare(load_config(str(path), [f"out={tmp_path / 'run'}"]))).open()
    for node in tree.children.values():
        assert "failed" not in node.attrs, node.attrs["failed"]
