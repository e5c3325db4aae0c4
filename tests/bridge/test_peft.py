"""Adapters of PEFT: read as it computes them, and written as it reads them."""

import json
import pathlib
import shutil

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import safetensors.numpy

import tracr_bridge as tb
from jaxcirc.adapters import lora, merge
from jaxcirc.checkpoints import CheckpointError
from tracr_bridge.checkpoints.families import UnsupportedOption

PEFT = pathlib.Path(__file__).parent / "peft"
NAMES = sorted(path.name for path in PEFT.iterdir())


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    """The folder, the base model and the adapter of one family."""
    folder = str(PEFT / request.param)
    model = tb.load(folder)
    return folder, model, tb.load_adapter(folder, model)


@pytest.fixture(scope="module")
def llama():
    folder = str(PEFT / "llama")
    model = tb.load(folder)
    return folder, model, tb.load_adapter(folder, model)


def same_update(one, other):
    assert set(one.changes) == set(other.changes)
    for name, update in one.updates().items():
        rounding = 1e-6 * float(jnp.abs(update).max())
        np.testing.assert_allclose(other.updates()[name], update, atol=rounding)


def test_merged_models_have_the_logits_that_peft_has(case):
    folder, model, adapter = case
    kept = np.load(f"{folder}/logits.npz")
    logits = merge(model, adapter)(kept["tokens"])
    scale = np.abs(kept["logits"]).max()
    np.testing.assert_allclose(logits, kept["logits"], rtol=0, atol=1e-5 * scale)
    assert np.abs(model(kept["tokens"]) - kept["logits"]).max() > 0.1


def test_reading_what_was_written_gives_the_same_updates(case, tmp_path):
    _, model, adapter = case
    tb.save_adapter(adapter, str(tmp_path))
    same_update(adapter, tb.load_adapter(str(tmp_path), model))


def test_weights_of_one_tensor_that_read_other_directions_add_their_ranks(tmp_path):
    model = tb.load(str(PEFT / "gpt2"))
    fresh = lora(model, rank=2, scale=3.0, over=("blocks.attn",), key=jr.key(0))
    adapter = jax.tree.map(
        lambda x: x + jnp.linspace(0, 1, x.size).reshape(x.shape), fresh
    )
    tb.save_adapter(adapter, str(tmp_path))
    tensors = safetensors.numpy.load_file(tmp_path / "adapter_model.safetensors")
    front = "base_model.model.transformer.h.0.attn"
    assert tensors[f"{front}.c_attn.lora_A.weight"].shape == (6, 8)
    raw = json.loads((tmp_path / "adapter_config.json").read_text())
    assert raw["target_modules"] == ["attn.c_attn", "attn.c_proj"]
    found = tb.load_adapter(str(tmp_path), model)
    for name, update in adapter.updates().items():
        tolerance = 1e-6 * float(jnp.abs(update).max())
        np.testing.assert_allclose(found.updates()[name], update, atol=tolerance)


@pytest.mark.filterwarnings("default")  # Of PEFT's own affairs.
def test_peft_reads_what_was_written(case, tmp_path):
    pytest.importorskip("peft", reason="peft is not installed")
    from .make_peft import difference

    folder, model, adapter = case
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    tb.save_adapter(adapter, str(tmp_path))
    kept = np.load(f"{folder}/logits.npz")
    assert difference(tmp_path) < 1e-5 * np.abs(kept["logits"]).max()
    # And one of ours, with directions of its own for queries and values.
    fresh = lora(model, rank=2, over=("blocks.attn", "blocks.mlp"), key=jr.key(0))
    own = jax.tree.map(lambda x: x + 0.1, fresh)
    tb.save_adapter(own, str(tmp_path))
    logits = np.asarray(merge(model, own)(kept["tokens"]))
    np.savez(tmp_path / "logits.npz", tokens=kept["tokens"], logits=logits)
    assert difference(tmp_path) < 1e-5 * np.abs(logits).max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"init_lora_weights": "pissa_niter_4"}, "changes the base"),
        ({"peft_type": "IA3"}, "peft_type"),
    ],
)
def test_what_is_no_plain_product_is_refused(llama, change, message, tmp_path):
    folder, model, _ = llama
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UnsupportedOption, match=message):
        tb.load_adapter(str(tmp_path), model)


def test_adapters_of_other_models_are_told(llama, tmp_path):
    folder, model, adapter = llama
    with pytest.raises(CheckpointError, match="another model's adapter"):
        tb.load_adapter(folder, tb.load(str(PEFT / "gpt2")))
    wider = lora(model, rank=2, over=("W_E",), key=jr.key(0))
    with pytest.raises(ValueError, match="W_E in another form"):
        tb.save_adapter(wider, str(tmp_path))
    with pytest.raises(CheckpointError, match="missing"):
        tb.load_adapter(str(tmp_path), model)
    assert eqx.tree_equal(merge(model, adapter), merge(model, adapter))
