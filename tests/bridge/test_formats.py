"""Files give what is in them or one clear error, and never run anything."""

import json
import time

import jax.numpy as jnp
import numpy as np
import pytest

import tracr_bridge as tb
from jaxcirc.checkpoints import CheckpointError
from jaxcirc.checkpoints.formats import _torch

from . import made


@pytest.mark.parametrize("kind", ["safetensors", "npz", "pt"])
def test_every_kind_gives_its_arrays(kind, tmp_path):
    tensors = tb.open_tensors(str(made.seeds(tmp_path)[kind]))
    expected = made.arrays()
    assert set(tensors) == set(expected)
    for name, array in expected.items():
        assert tensors.shapes[name] == array.shape
        assert tensors.dtypes[name] == array.dtype
        np.testing.assert_array_equal(tensors[name], array)


def test_torch_files_of_pytorch_itself(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    whole = torch.arange(24.0).reshape(4, 6)
    state = {
        "view": whole[1:3, ::2],
        "turned": whole.T,
        "half": whole.bfloat16(),
        "parameter": torch.nn.Parameter(whole + 1),
        "flags": torch.tensor([True, False]),
        "scalar": torch.tensor(3),
    }
    for nest, file in ((None, "plain.pt"), ("model_state_dict", "nested.pt")):
        tree = state if nest is None else {nest: state, "step": 7, "lr": [0.1]}
        torch.save(tree, tmp_path / file)
        tensors = tb.open_tensors(str(tmp_path / file))
        assert set(tensors) == set(state)
        for name, tensor in state.items():
            np.testing.assert_array_equal(
                np.asarray(tensors[name], np.float32), tensor.detach().float().numpy()
            )
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    torch.save(module.state_dict(), tmp_path / "module.pt")
    assert set(tb.open_tensors(str(tmp_path / "module.pt"))) == set(module.state_dict())
    torch.save(module, tmp_path / "whole.pt")
    with pytest.raises(CheckpointError, match="torch.nn.modules.container"):
        tb.open_tensors(str(tmp_path / "whole.pt"))


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("shared", [True, False])
def test_llama2c_files_of_both_versions(version, shared, tmp_path):
    path = tmp_path / "model.bin"
    weights = made.llama2c_file(path, version=version, shared=shared)
    model = tb.load(str(path))
    blocks = model.blocks
    assert blocks.ln2 is not None
    assert blocks.mlp is not None
    for ours, theirs in (
        (model.W_E, weights["embed"]),
        (blocks.attn.W_Q.reshape(2, 8, 8), weights["q"].swapaxes(1, 2)),
        (blocks.attn.W_K.reshape(2, 8, 4), weights["k"].swapaxes(1, 2)),
        (blocks.attn.W_O.reshape(2, 8, 8), weights["o"].swapaxes(1, 2)),
        (blocks.ln2.weight, weights["norm2"]),
        (blocks.mlp.W_gate, weights["w1"].swapaxes(1, 2)),
        (blocks.mlp.W_out, weights["w2"].swapaxes(1, 2)),
        (blocks.mlp.W_in, weights["w3"].swapaxes(1, 2)),
        (
            model.W_E.T if shared else model.W_U,
            weights["embed" if shared else "head"].T,
        ),
    ):
        np.testing.assert_array_equal(ours, theirs)
    assert (model.config.d_vocab, model.config.sizes.n_kv_heads) == (13, 1)
    assert model.config.tied == shared
    assert np.isfinite(model(jnp.zeros((1, 4), int))).all()


def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path):
    witness = tmp_path / "executed"
    made.evil_file(tmp_path / "evil.pt", witness)
    with pytest.raises(CheckpointError, match=r"a call of .*\.open.*not executed"):
        tb.open_tensors(str(tmp_path / "evil.pt"))
    np.savez(tmp_path / "objects.npz", a=np.array([{"x": 1}], dtype=object))
    with pytest.raises(CheckpointError, match="only numbers are read"):
        tb.open_tensors(str(tmp_path / "objects.npz"))
    assert not witness.exists()


def test_a_zip_that_announces_more_than_it_holds_is_refused(tmp_path):
    state = made.arrays()
    state["a.weight"] = np.lib.stride_tricks.as_strided(
        state["a.weight"], (3, 1 << 20), (0, 4)
    )
    pickled = made.torch_pickle(state)
    import zipfile

    with zipfile.ZipFile(tmp_path / "huge.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for index in range(4):
            archive.writestr(f"archive/data/{index}", b"\0" * 48)
    tensors = tb.open_tensors(str(tmp_path / "huge.pt"))
    assert tensors["count"].shape == (5,)
    with pytest.raises(CheckpointError, match="does not lie within its storage"):
        tensors["a.weight"]


def test_containers_that_stand_for_too_much_are_refused_at_once(tmp_path, monkeypatch):
    """Each list holds the one before ten times: 10 ** 30 places in a short file."""
    import zipfile

    # Tests check the types of every call, which makes walking ten times as slow.
    monkeypatch.setattr(_torch, "_MOST_NODES", 20_000)
    pickled = b"\x80\x02]q\x00"
    for level in range(1, 31):
        before = bytes([level - 1])
        pickled += b"]q" + bytes([level]) + b"(" + (b"h" + before) * 10 + b"e"
    for kind, data in (
        (zipfile.ZIP_STORED, pickled + b"."),
        (8, made.torch_pickle({})),
    ):
        with zipfile.ZipFile(tmp_path / "deep.pt", "w", kind) as archive:
            archive.writestr("archive/data.pkl", data)
        began = time.process_time()
        message = "more than any checkpoint does|its members are compressed"
        with pytest.raises(CheckpointError, match=message):
            tb.open_tensors(str(tmp_path / "deep.pt"))
        assert time.process_time() - began < 2


@pytest.mark.parametrize("row", tb.FAMILIES, ids=lambda row: row.name)
def test_no_value_of_a_config_breaks_its_reader(row):
    """Every key with a value of every wrong kind: a config, or a clear error."""
    import warnings

    from jaxcirc.models import MODELS, TransformerConfig

    specs = {spec.name: spec for spec in MODELS}
    ours = {"pico_decoder": "pico", "gemma3_text": "gemma3", "mistral": "llama"}
    spec = specs[ours.get(row.name, row.name)]
    raw = row.write(spec.build(11, 8, **spec.tiny))
    wrong = [None, -1, 0, 1.5, 10**12, "x", True, [], [3], {}, {"rope_type": "llama3"}]
    for key in (*raw, "rope_scaling", "rope_parameters", "layer_types"):
        for value in wrong:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    found = row.config(raw | {key: value})
                except ValueError as error:
                    assert str(error), (key, value)  # noqa: PT017
                else:
                    assert isinstance(found, TransformerConfig), (key, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt_neo"}, "unknown architecture 'gpt_neo'.*gpt_neox"),
        ({"hidden_act": "quick_gelu"}, "'quick_gelu' is not supported; known are"),
        ({"hidden_size": "8"}, "`hidden_size` must be a whole number"),
        ({"vocab_size": None}, "`vocab_size` is null"),
        ({"num_attention_heads": 3}, "`n_heads` = 3 does not divide"),
        (
            {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}},
            "rotary scaling 'yarn' is not supported",
        ),
        ({"hidden_size": 16}, r"has shape \[.*\] where the config needs"),
        ({"num_hidden_layers": 3}, r"lacks gpt_neox.layers.2.*"),
        ({"num_hidden_layers": 1}, r"holds gpt_neox.layers.1.*no use for"),
    ],
)
def test_configs_that_cannot_be_followed_say_why(change, message, tmp_path):
    made.write_neox(tmp_path)
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text()) | change
    raw["architectures"] = []
    path.write_text(json.dumps(raw))
    with pytest.raises(ValueError, match=message):
        tb.load(str(tmp_path))


def test_an_option_that_nobody_knows_is_told(tmp_path):
    model = made.write_neox(tmp_path)
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text()) | {"new_trick": 3, "attention_dropout": 0.1}
    path.write_text(json.dumps(raw))
    with pytest.warns(UserWarning, match="new_trick unknown here and not followed"):
        assert tb.load(str(tmp_path)).config == model.config


def test_broken_folders_say_what_to_do(tmp_path):
    made.write_neox(tmp_path)
    weights = tmp_path / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-10])
    with pytest.raises(CheckpointError, match=r"is cut short.*copy it again"):
        tb.load(str(tmp_path))
    weights.unlink()
    with pytest.raises(CheckpointError, match="holds no weights: none of"):
        tb.load(str(tmp_path))
    for file in ("../../etc/passwd", "", 3, None, {}, ["model.safetensors"]):
        index = {"weight_map": {"a": file, "b": "model-1.safetensors"}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(CheckpointError, match="no files beside it"):
            tb.load(str(tmp_path))
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match="config.json is missing"):
        tb.load(str(tmp_path))
    with pytest.raises(CheckpointError, match="no such file or folder"):
        tb.load(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="which has no revisions"):
        tb.load(str(tmp_path), revision="main")
    made.write_neox(tmp_path)
    with pytest.raises(ValueError, match="`dtype` must be float32.*'float7'"):
        tb.load(str(tmp_path), dtype="float7")
    with pytest.raises(ValueError, match="its ending is none of"):
        tb.open_tensors(str(tmp_path / "a.h5"))
