"""The code of the guides runs, block after block, and prints what they say."""

import contextlib
import io
import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    ("guide", "prints"),
    [("llc.md", 4), ("metrics.md", 14), ("programs.md", 7), ("checkpoints.md", 5)]
    + [
        ("runs.md", 4),
        ("circuits.md", 4),
        ("taylor.md", 9),
        ("saes.md", 16),
        ("text_tasks.md", 7),
    ],
)
def test_the_blocks_of_the_guides(guide, prints, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # studies go to `runs/`
    if guide == "programs.md":
        pytest.importorskip("tracr.compiler.compiling")
    text = (DOCS / guide).read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    code = "\n".join(blocks)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, guide, "exec"), {})
    promised = re.findall(r"^print\(.*\) +# (.*)$", code, flags=re.M)
    lines = printed.getvalue().splitlines()
    assert len(lines) == len(promised) == prints
    for line, promise in zip(lines, promised, strict=True):
        assert promise.startswith(line) or promise.endswith(line), (line, promise)


def test_the_rows_that_contributing_shows_are_rows():
    text = (DOCS.parent / "CONTRIBUTING.md").read_text()
    found = []
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.S):
        names: dict = {}
        exec(compile(block, "CONTRIBUTING.md", "exec"), names)
        found.append(names["SPEC"])
    metric, measurement = found
    for known in metric.known:
        assert float(metric.fn(*known.args())) == pytest.approx(known.value)
    assert measurement.build().needs_previous is False


def test_the_study_of_the_metrics_guide_is_valid(tmp_path):
    from jaxcirc.study import load_config, prepare

    text = (DOCS / "metrics.md").read_text()
    (section,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.S)
    head = "name: guide\ntask: induction\nmodel: {family: gpt2, n_layers: 2}\n"
    path = tmp_path / "guide.yaml"
    path.write_text(head + section)
    prepared = prepare(load_config(str(path), ["training.every=50"]))
    assert len(prepared.measurements) == 10


def test_the_study_of_the_programs_guide_is_valid(tmp_path):
    pytest.importorskip("tracr.compiler.compiling")
    from jaxcirc.study import load_config, prepare

    text = (DOCS / "programs.md").read_text()
    (section,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.S)
    path = tmp_path / "guide.yaml"
    path.write_text(f"name: guide\n{section}")
    assert len(prepare(load_config(str(path))).measurements) == 4
