"""Published runs as trajectories: a hub, folders, files, and whole studies of them."""

import json
import os

import numpy as np
import pytest
import safetensors.numpy

import tracr_bridge as tb
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.study import Study, StudyError, load_config, prepare, run

from . import made
from .hub_server import Hub, serving

STEPS = (0, 1, 2, 100, 1000)


@pytest.fixture
def series(tmp_path):
    """Five revisions of a small GPT-NeoX, in folders."""
    for step in STEPS:
        folder = tmp_path / "series" / f"step{step}"
        made.write_neox(folder, seed=step)
        (folder / "optimizer.bin").write_bytes(b"not for us" * 100)
    return tmp_path / "series"


@pytest.fixture
def hub(series, tmp_path, monkeypatch):
    """The same behind an address."""
    reason = "huggingface_hub is not installed"
    constants = pytest.importorskip("huggingface_hub.constants", reason=reason)
    revisions = {f"step{step}": series / f"step{step}" for step in STEPS}
    made_up = Hub("lab/tiny", revisions | {"main": series / "step1000"})
    with serving(made_up) as url:
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        yield made_up


def same(a, b):
    for x, y in zip(
        *(tb.checkpoints._weights.named_leaves(m).values() for m in (a, b)), strict=True
    ):
        np.testing.assert_array_equal(x, y)


def test_a_hub_series_downloads_only_what_it_needs(hub, tmp_path):
    cache = str(tmp_path / "cache")
    trajectory = tb.trajectory("lab/tiny", cache=cache, keep=2)
    assert trajectory.steps == STEPS
    assert trajectory.info["model"] == made.NEOX.to_dict()
    for step, model in trajectory.stream():
        same(model, made.neox(step))
    files = [name.split("/")[1].split("@")[0] for name in hub.served]
    assert set(files) == {"config.json", "model.safetensors"}
    assert files.count("model.safetensors") == len(STEPS)
    snapshots = os.path.join(cache, "models--lab--tiny", "snapshots")
    assert len(os.listdir(snapshots)) == 2
    # What is still there is not downloaded again.
    served = len(hub.served)
    same(trajectory.load(1000), made.neox(1000))
    assert len(hub.served) == served
    chosen = tb.trajectory("lab/tiny", cache=cache, schedule="exponential")
    assert chosen.steps == (1, 2, 1000)
    same(tb.load("lab/tiny", revision="step100", cache=cache), made.neox(100))
    same(tb.load("lab/tiny", cache=cache), made.neox(1000))
    assert tb.revisions("lab/tiny")[100] == "step100"


def test_a_branch_whose_commits_are_the_checkpoints(hub, tmp_path):
    titles = {
        "step1000": "Saving HF Model -- Step 40",
        "step100": "Saving Learning Dynamics Data (train) -- Step 40",
        "step2": "Saving HF Model -- Step 20",
        # Pushed before a resumption; the newer one counts.
        "step1": "Saving HF Model -- Step 20",
    }
    hub.commits = [
        {
            "id": hub.commit(name),
            "title": title,
            "message": "",
            "date": "2025-03-01T00:00:00.000Z",
            "authors": [],
        }
        for name, title in titles.items()
    ]
    trajectory = tb.trajectory("lab/tiny", branch="main", cache=str(tmp_path / "cache"))
    assert trajectory.steps == (20, 40)
    same(trajectory.load(20), made.neox(2))
    same(trajectory.load(40), made.neox(1000))


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


def test_a_download_that_breaks_off_goes_on(hub, tmp_path):
    cache = str(tmp_path / "cache")
    hub.breaks, hub.break_after = 1, 500
    same(tb.load("lab/tiny", revision="step1", cache=cache), made.neox(1))


def test_what_the_hub_lacks_is_named(hub, tmp_path):
    cache = str(tmp_path / "cache")
    with pytest.raises(CheckpointError, match=r"no revision 'step90'. Near.* step100"):
        tb.load("lab/tiny", revision="step90", cache=cache)
    with pytest.raises(CheckpointError, match="no such model on the hub"):
        tb.load("lab/other", cache=cache)
    with pytest.raises(ValueError, match="no checkpoint at step 90; near ones are"):
        tb.trajectory("lab/tiny", steps=[90], cache=cache)


def test_without_network_it_says_how_to_go_on(tmp_path, monkeypatch):
    reason = "huggingface_hub is not installed"
    constants = pytest.importorskip("huggingface_hub.constants", reason=reason)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    message = "could not be asked.*download the folder elsewhere and give its path"
    with pytest.raises(CheckpointError, match=message):
        tb.load("lab/tiny", cache=str(tmp_path))


def test_folders_of_checkpoints(series):
    trajectory = tb.trajectory(str(series))
    assert trajectory.steps == STEPS
    same(trajectory.load(2), made.neox(2))
    named = tb.trajectory(str(series), steps={5: "step2", 6: "step100"})
    same(named.load(6), made.neox(100))
    some = tb.trajectory(str(series), pattern=r"^step(\d)$")
    assert some.steps == (0, 1, 2)
    made.write_neox(series / "checkpoint-100", seed=9)
    with pytest.raises(ValueError, match="both are step 100. Say which"):
        tb.trajectory(str(series))
    with pytest.raises(ValueError, match="unknown checkpoint 'step3'"):
        tb.trajectory(str(series), steps={5: "step3"})


def test_equal_weights_at_two_steps_are_found_out(series):
    made.write_neox(series / "step7", seed=100)
    trajectory = tb.trajectory(str(series))
    with pytest.warns(UserWarning, match="steps 7 and 100 hold equal weights"):
        for _ in trajectory.stream():
            pass
    assert trajectory.info["identical"] == [(7, 100)]


def test_a_config_that_changes_is_refused(series):
    path = series / "step100" / "config.json"
    raw = json.loads(path.read_text()) | {"layer_norm_eps": 1e-3}
    path.write_text(json.dumps(raw))
    with pytest.raises(CheckpointError, match="step 100 has another config"):
        tb.trajectory(str(series)).load(100)


def test_zeros_of_either_sign_and_nans_are_equal_weights(tmp_path):
    rng = np.random.default_rng(0)
    weights = lens_weights(rng)
    weights["unembed.b_U"] = np.zeros(7, np.float32)
    weights["ln_final.b"] = np.full(6, np.nan, np.float32)
    np.savez(tmp_path / "0.npz", **weights)
    np.savez(tmp_path / "5.npz", **weights | {"unembed.b_U": -weights["unembed.b_U"]})
    trajectory = tb.trajectory(str(tmp_path))
    with pytest.warns(UserWarning, match="steps 0 and 5 hold equal weights"):
        assert [step for step, _ in trajectory.stream()] == [0, 5]


def test_folders_that_are_links_are_followed(series, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    for step in (0, 100):
        os.symlink(series / f"step{step}", links / f"step{step}")
    made.write_neox(links / "step7", seed=7)
    # Links to others of the folder are no checkpoints of their own.
    os.symlink("step7", links / "latest")
    os.symlink("step7", links / "best-step-9")
    trajectory = tb.trajectory(str(links))
    assert trajectory.steps == (0, 7, 100)
    same(trajectory.load(100), made.neox(100))
    named = tb.trajectory(str(links), steps={1: "latest"})
    same(named.load(1), made.neox(7))


def test_a_checkpoint_that_was_not_finished_stays_a_step(series):
    (series / "step0" / "config.json").unlink()
    (series / "step100" / "config.json").unlink()
    (series / "step2" / "model.safetensors").unlink()
    (series / "step3").mkdir()
    (series / "logs").mkdir()
    trajectory = tb.trajectory(str(series))
    assert trajectory.steps == (0, 1, 2, 3, 100, 1000)
    found = dict(trajectory.stream(broken="give"))
    for step, message in (
        (0, "config.json is missing"),
        (2, "holds no weights"),
        (3, "config.json is missing"),
    ):
        assert message in str(found[step])
    same(found[1000], made.neox(1000))


def test_what_belongs_to_no_step_is_told(series, tmp_path):
    made.write_neox(series / "final")
    np.savez(series / "extra.npz", a=np.zeros(1))
    with (
        pytest.warns(UserWarning, match="final left out: their names tell no step"),
        pytest.warns(UserWarning, match=r"extra.npz left out: they lie beside"),
    ):
        assert tb.trajectory(str(series)).steps == STEPS
    files = tmp_path / "files"
    files.mkdir()
    weights = lens_weights(np.random.default_rng(0))
    # An optimiser's state has a step and no weights.
    for name in ("0", "100", "100_optimizer", "best"):
        np.savez(files / f"{name}.npz", **weights)
    with pytest.warns(UserWarning, match=r"files: best.npz left out"):
        assert tb.trajectory(str(files)).steps == (0, 100)
    assert tb.trajectory(str(files), pattern=r"^\d").steps == (0, 100)


def test_a_run_of_lightning_is_a_trajectory(tmp_path):
    weights = lens_weights(np.random.default_rng(0))
    (tmp_path / "checkpoints").mkdir()
    for epoch in (0, 1):
        name = f"epoch={epoch}-step={100 * epoch + 100}.ckpt"
        inside = {f"model.{name}": array for name, array in weights.items()}
        made.torch_file(tmp_path / "checkpoints" / name, inside)
    trajectory = tb.trajectory(str(tmp_path))
    assert trajectory.steps == (100, 200)
    same(trajectory.load(200), tb.from_transformer_lens(weights))


def test_a_series_by_a_name_map_of_ones_own(tmp_path):
    weights = lens_weights(np.random.default_rng(0))
    expected = tb.from_transformer_lens(weights)
    odd = {f"policy.{name}": array for name, array in weights.items()}
    odd |= {"value_head": np.zeros(3)}
    np.savez(tmp_path / "3.npz", **odd)
    trajectory = tb.trajectory(
        str(tmp_path), ignore=["^value_head$"], names={r"^policy\.": ""}
    )
    same(trajectory.load(3), expected)
    rules = [r._replace(theirs=f"policy.{r.theirs}") for r in lens_rules()]
    trajectory = tb.trajectory(
        str(tmp_path), ignore=["^value_head$"], config=expected.config, rules=rules
    )
    same(trajectory.load(3), expected)
    with pytest.raises(ValueError, match="need both `config`.* and `rules`"):
        tb.trajectory(str(tmp_path), config=expected.config)
    with pytest.raises(ValueError, match="is no regular expression"):
        tb.trajectory(str(tmp_path), ignore=["("])


def lens_rules():
    return tb.checkpoints._transformer_lens.RULES


def test_series_of_transformer_lens_files(tmp_path):
    rng = np.random.default_rng(0)
    groups = {}
    for step in (3, 40):
        weights = lens_weights(rng)
        safetensors.numpy.save_file(weights, str(tmp_path / f"step_{step}.safetensors"))
        made.torch_file(tmp_path / f"ckpt_{step}.pt", weights)
        groups |= {f"step_{step}/{k}": v for k, v in weights.items()}
    np.savez(tmp_path / "all.npz", **groups)
    (tmp_path / "torch").mkdir()
    for step in (3, 40):
        os.rename(tmp_path / f"ckpt_{step}.pt", tmp_path / "torch" / f"ckpt_{step}.pt")
    found = [
        tb.trajectory(str(tmp_path / "all.npz")),
        tb.trajectory(str(tmp_path), pattern="safetensors$"),
        tb.trajectory(str(tmp_path / "torch")),
    ]
    for trajectory in found:
        assert trajectory.steps == (3, 40)
        for step in (3, 40):
            same(trajectory.load(step), found[0].load(step))
    config = found[0].load(3).config
    assert (config.norm, config.n_heads, config.sizes.d_head) == ("layer", 2, 3)


def lens_weights(rng):
    shapes = {
        "embed.W_E": (7, 6),
        "pos_embed.W_pos": (5, 6),
        "blocks.0.ln1.w": (6,),
        "blocks.0.ln1.b": (6,),
        "blocks.0.attn.W_O": (2, 3, 6),
        "blocks.0.attn.b_O": (6,),
        "ln_final.w": (6,),
        "ln_final.b": (6,),
        "unembed.W_U": (6, 7),
        "unembed.b_U": (7,),
    }
    for name in "QKV":
        shapes[f"blocks.0.attn.W_{name}"] = (2, 6, 3)
        shapes[f"blocks.0.attn.b_{name}"] = (2, 3)
    return {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}


def test_a_name_map_of_ones_own(tmp_path):
    weights = lens_weights(np.random.default_rng(1))
    expected = tb.from_transformer_lens(weights)
    mine = {"emb": weights.pop("embed.W_E").T, "buffer": np.zeros(3)} | weights
    rules = [r for r in tb.checkpoints._transformer_lens.RULES if r.ours != ("W_E",)]
    rules.append(tb.rule("emb", "W_E", "m v -> v m"))
    same(tb.from_tensors(mine, expected.config, rules, ignore=["^buffer$"]), expected)
    np.savez(tmp_path / "mine.npz", **mine)
    path = str(tmp_path / "mine.npz")
    same(tb.from_tensors(path, expected.config, rules, ignore=["^buffer$"]), expected)
    with pytest.raises(CheckpointError, match="holds buffer, which the config has"):
        tb.from_tensors(path, expected.config, rules)
    with pytest.raises(CheckpointError, match="no tensor of this family holds W_E"):
        tb.from_tensors(mine, expected.config, rules[:-1], ignore=["^buffer$", "emb"])


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
    same(trajectory.load(20), Transformer(config, key=jr.key(20)))
