"""Published runs as trajectories: folders, files, and maps of names."""

import json
import os

import numpy as np
import pytest
import safetensors.numpy

import tracr_bridge as tb
from jaxcirc.checkpoints import CheckpointError

from . import made
from .conftest import STEPS
from .lens import lens_rules, lens_weights


def test_folders_of_checkpoints(series):
    trajectory = tb.trajectory(str(series))
    assert trajectory.steps == STEPS
    made.same(trajectory.load(2), made.neox(2))
    named = tb.trajectory(str(series), steps={5: "step2", 6: "step100"})
    made.same(named.load(6), made.neox(100))
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
    made.same(trajectory.load(100), made.neox(100))
    named = tb.trajectory(str(links), steps={1: "latest"})
    made.same(named.load(1), made.neox(7))


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
    made.same(found[1000], made.neox(1000))


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
    made.same(trajectory.load(200), tb.from_transformer_lens(weights))


def test_a_series_by_a_name_map_of_ones_own(tmp_path):
    weights = lens_weights(np.random.default_rng(0))
    expected = tb.from_transformer_lens(weights)
    odd = {f"policy.{name}": array for name, array in weights.items()}
    odd |= {"value_head": np.zeros(3)}
    np.savez(tmp_path / "3.npz", **odd)
    trajectory = tb.trajectory(
        str(tmp_path), ignore=["^value_head$"], names={r"^policy\.": ""}
    )
    made.same(trajectory.load(3), expected)
    rules = [r._replace(theirs=f"policy.{r.theirs}") for r in lens_rules()]
    trajectory = tb.trajectory(
        str(tmp_path), ignore=["^value_head$"], config=expected.config, rules=rules
    )
    made.same(trajectory.load(3), expected)
    with pytest.raises(ValueError, match="need both `config`.* and `rules`"):
        tb.trajectory(str(tmp_path), config=expected.config)
    with pytest.raises(ValueError, match="is no regular expression"):
        tb.trajectory(str(tmp_path), ignore=["("])


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
            made.same(trajectory.load(step), found[0].load(step))
    config = found[0].load(3).config
    assert (config.norm, config.n_heads, config.sizes.d_head) == ("layer", 2, 3)


def test_a_name_map_of_ones_own(tmp_path):
    weights = lens_weights(np.random.default_rng(1))
    expected = tb.from_transformer_lens(weights)
    mine = {"emb": weights.pop("embed.W_E").T, "buffer": np.zeros(3)} | weights
    rules = [r for r in tb.checkpoints._transformer_lens.RULES if r.ours != ("W_E",)]
    rules.append(tb.rule("emb", "W_E", "m v -> v m"))
    made.same(
        tb.from_tensors(mine, expected.config, rules, ignore=["^buffer$"]), expected
    )
    np.savez(tmp_path / "mine.npz", **mine)
    path = str(tmp_path / "mine.npz")
    made.same(
        tb.from_tensors(path, expected.config, rules, ignore=["^buffer$"]), expected
    )
    with pytest.raises(CheckpointError, match="holds buffer, which the config has"):
        tb.from_tensors(path, expected.config, rules)
    with pytest.raises(CheckpointError, match="no tensor of this family holds W_E"):
        tb.from_tensors(mine, expected.config, rules[:-1], ignore=["^buffer$", "emb"])
