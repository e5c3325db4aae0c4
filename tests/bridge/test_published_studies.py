"""Studies of published runs, and of runs of pico-train."""

import json
import os

import numpy as np
import pytest

import tracr_bridge as tb
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.study import Study, StudyError, load_config, prepare, run

from . import made
from .conftest import STEPS


def study(tmp_path, source, *overrides):
    """What a user writes, in fewer than twenty lines."""
    path = tmp_path / "study.yaml"
    np.save(tmp_path / "ids.npy", np.random.default_rng(0).integers(0, 11, 500))
    path.write_text(
        f"""\
name: tiny
trajectory:
  source: {source}
task:
  name: tokens
  ids: {tmp_path / "ids.npy"}
  n_ctx: 8
measure:
  - name: performance
    n_examples: 32
  - weights
  - name: metrics
    metric: cka
    components: [resid_post]
    reference: previous
"""
    )
    return load_config(str(path), [f"out={tmp_path / 'run'}", *overrides])


def test_a_study_of_a_hub_series(hub, tmp_path):
    config = study(tmp_path, "lab/tiny", f"trajectory.cache={tmp_path / 'cache'}")
    found = run(prepare(config))
    tree = found.open()
    assert "training" not in tree.children
    assert tree["performance"]["step"].values.tolist() == list(STEPS)
    assert np.isfinite(tree["weights"]["norm"]).all()
    from jaxcirc.report import render

    page = render(tree)
    assert "lab/tiny" in page
    assert "2 layers of 8" in page
    # Run again, nothing is measured anew.
    run(prepare(config))
    assert Study(str(tmp_path / "run")).read_run()["timing"]["cells"] == 15


def test_a_broken_checkpoint_leaves_the_rest_of_the_study_whole(series, tmp_path):
    weights = series / "step2" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-20])
    config = study(tmp_path, series)
    tree = run(prepare(config)).open()
    loss = tree["performance"]["loss"].mean(("seed", "split"))
    assert loss["step"].values.tolist() == [0, 1, 100, 1000]
    assert np.isfinite(loss).all()
    failed = json.loads(tree["performance"].attrs["failed"])
    assert "model.safetensors is cut short" in failed["2"]
    weights.write_bytes(whole)
    tree = run(prepare(config)).open()
    assert np.isfinite(tree["performance"]["loss"]).all()
    assert "failed" not in tree["performance"].attrs


def test_an_unknown_architecture_leaves_the_rest_whole(series, tmp_path):
    for step in (0, 100):
        path = series / f"step{step}" / "config.json"
        raw = json.loads(path.read_text()) | {"model_type": "bert", "architectures": []}
        path.write_text(json.dumps(raw))
    tree = run(prepare(study(tmp_path, series))).open()
    assert tree["performance"]["step"].values.tolist() == [1, 2, 1000]
    failed = json.loads(tree["performance"].attrs["failed"])
    assert set(failed) == {"0", "100"}
    assert "unknown architecture 'bert'" in failed["100"]


def test_several_runs_are_seeds_of_one(series, tmp_path):
    other = tmp_path / "other"
    for step in STEPS:
        made.write_neox(other / f"step{step}", seed=step + 7)
    config = study(tmp_path, f"[{series}, {other}]", "measure=[weights]")
    tree = run(prepare(config)).open()
    assert tree["weights"].sizes["seed"] == 2
    norms = tree["weights"]["norm"]
    assert (norms.isel(seed=0) != norms.isel(seed=1)).any()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.steps=3"], "trains nothing; leave this out"),
        (["trajectory.source=no/where/at/all"], "no such file or folder"),
        (["trajectory.shedule=all"], "unknown key 'shedule'; did you mean 'schedule'"),
        (["trajectory.schedule=weekly"], "unknown schedule 'weekly'"),
        (["task.n_ctx=40"], "a context of 40, more than the model's 16"),
        (["task={name: induction}"], "tokens of 65, more than the model's 11"),
        (["steps=[3]"], r"no checkpoint at steps \[3\]; the nearest to 3 is 2\b"),
        (["trajectory.steps=[3]"], "no checkpoint at step 3; near ones are"),
    ],
)
def test_studies_that_cannot_be_run_say_why(overrides, message, series, tmp_path):
    with pytest.raises(StudyError, match=message):
        prepare(study(tmp_path, series, *overrides))


def test_pico_dynamics_are_read_and_put_right(tmp_path):
    rng = np.random.default_rng(0)
    step = tmp_path / "checkpoints" / "step_20"
    (step / "learning_dynamics").mkdir(parents=True)
    key = "_forward_module.layers.0.attention.v_proj"
    outputs = rng.normal(size=(10, 3)).astype(np.float32)
    # As one device stores them: each sub-batch of four is read in the wrong order.
    parts = [outputs[i : i + 4] for i in (0, 4, 8)]
    stored = np.concatenate([p.T.reshape(len(p), 3) for p in parts])
    weight, gradient = rng.normal(size=(2, 3, 5)).astype(np.float32)
    for kind, array in (
        ("activations", stored),
        ("weights", weight),
        ("gradients", gradient),
    ):
        made.torch_file(step / "learning_dynamics" / f"train_{kind}.pt", {key: array})
    setup = {
        "training": {"fabric": {"num_nodes": 1, "num_devices": 1}},
        "checkpointing": {"learning_dynamics": {"batch_size": 4}},
    }
    (tmp_path / "training_config.yaml").write_text(json.dumps(setup))
    found = tb.pico_dynamics(str(step))
    name = "layers.0.attention.v_proj"
    np.testing.assert_array_equal(found.activations[name], outputs)
    np.testing.assert_array_equal(found.weights[name], weight)
    # Ten examples are not a whole number of sub-batches.
    assert found.gradient_scale is None
    assert found.unscrambled
    setup["checkpointing"]["learning_dynamics"]["batch_size"] = 5
    found = tb.pico_dynamics(str(step), config=setup)
    assert found.gradient_scale == 2
    np.testing.assert_array_equal(found.gradients[name], gradient / 2)
    setup["training"]["fabric"]["num_devices"] = 2
    found = tb.pico_dynamics(str(step), config=setup)
    assert (found.gradient_scale, found.unscrambled) == (None, False)
    np.testing.assert_array_equal(found.activations[name], stored)
    with pytest.raises(CheckpointError, match=r"val_activations.pt is missing"):
        tb.pico_dynamics(str(step), split="val")
    with pytest.raises(ValueError, match="training.fabric.num_devices"):
        tb.pico_dynamics(str(step), config={})


def test_a_run_folder_of_pico_is_a_trajectory(tmp_path):
    from jaxcirc.models import MODELS, Transformer

    (spec,) = (row for row in MODELS if row.name == "pico")
    config = spec.build(11, 8, **spec.tiny)
    import jax.random as jr

    for step in (0, 20):
        model = Transformer(config, key=jr.key(step))
        tb.save(model, str(tmp_path / "checkpoints" / f"step_{step}"))
    raw = json.loads((tmp_path / "checkpoints/step_0/config.json").read_text())
    assert raw["model_type"] == "pico_decoder"
    os.symlink("step_20", tmp_path / "checkpoints" / "latest")
    trajectory = tb.trajectory(str(tmp_path))
    assert trajectory.steps == (0, 20)
    made.same(trajectory.load(20), Transformer(config, key=jr.key(20)))


def test_a_tokenizer_comes_along_and_shows_text(series, tmp_path):
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    words = ["Ġthe", "cat", "sat", "on", "a", "mat", ".", "dog", "ran", "and", "[UNK]"]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel(
            {word: i for i, word in enumerate(words)}, unk_token="[UNK]"
        )
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(series / "step0" / "tokenizer.json"))
    assert tb.trajectory(str(series)).tokenizer.get_vocab_size() == 11
    text = tmp_path / "story.txt"
    text.write_text("a cat sat on a mat . dog ran and a cat ran . " * 40)
    config = study(tmp_path, series, "measure=[performance]")
    task = {"name": "tokens", "paths": [str(text)], "n_ctx": 8}
    prepared = prepare(config.model_copy(update={"task": task}))
    import jax.random as jr

    shown = prepared.task.decode(prepared.task.sample(1, key=jr.key(0)).tokens[0])
    assert set(shown) <= {word.replace("Ġ", "␣") for word in words}
    assert "cat" in shown
    # An entry beyond the model's vocabulary is of no concern while no text uses it.
    tokenizer.add_tokens(["<unused>"])
    tokenizer.save(str(series / "step0" / "tokenizer.json"))
    prepared = prepare(config.model_copy(update={"task": task}))
    assert prepared.task.d_vocab == made.NEOX.d_vocab
    text.write_text(text.read_text() + "<unused>")
    with pytest.raises(StudyError, match="tokens of 12, more than the model's 11"):
        prepare(config.model_copy(update={"task": task}))
    (series / "step0" / "tokenizer.json").write_text("[" * 100_000)
    with pytest.raises(StudyError, match="tokenizer.json is damaged"):
        prepare(config.model_copy(update={"task": task}))
    with pytest.raises(StudyError, match="this trajectory brings no tokenizer along"):
        (series / "step0" / "tokenizer.json").unlink()
        prepare(config.model_copy(update={"task": task}))
