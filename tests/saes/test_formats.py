"""Dictionaries to files and back; files of others, written here by hand."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxcirc import saes
from jaxcirc.checkpoints import CheckpointError

D_IN, D_SAE = 6, 16
RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.normal(size=(20, D_IN)), jnp.float32)


def randomised(dictionary, seed=1):
    rng = np.random.default_rng(seed)
    move = lambda leaf: (
        leaf + jnp.asarray(abs(rng.normal(size=leaf.shape)), leaf.dtype) / 4
        if jnp.issubdtype(leaf.dtype, jnp.floating)
        else leaf
    )
    return jax.tree.map(move, dictionary)


def made(name, **options):
    row = next(row for row in saes.ARCHITECTURES if row.name == name)
    config = row.build(**({"d_in": D_IN, "d_sae": D_SAE} | row.tiny | options))
    return randomised(config.init(jax.random.key(0)))


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(left, right)
        assert left.dtype == right.dtype


EXACT = {
    "standard": made("standard"),
    "gated": made("gated"),
    "topk": made("topk"),
    "jumprelu": made("jumprelu"),
    "transcoder": made("transcoder"),
    "skip_transcoder": randomised(
        saes.skip_transcoder(d_in=D_IN, d_sae=D_SAE, d_out=5).init(jax.random.key(0))
    ),
    "jumprelu_transcoder": randomised(
        saes.transcoder("jumprelu", d_in=D_IN, d_sae=D_SAE, d_out=5, target_l0=3).init(
            jax.random.key(0)
        )
    ),
    "jumprelu_skip_transcoder": randomised(
        saes.skip_transcoder(
            "jumprelu", d_in=D_IN, d_sae=D_SAE, d_out=5, target_l0=3
        ).init(jax.random.key(0))
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_saelens_round_trips_are_exact_and_keep_what_is_said(name, tmp_path):
    told = {"l1_coefficient": 2.0, "metadata": {"model_name": "m", "hook_name": "h"}}
    saes.save(EXACT[name], tmp_path, metadata=told)
    assert_equal(saes.load(tmp_path), EXACT[name])
    kept = saes.metadata(tmp_path)
    assert kept["architecture"] == name
    assert kept["l1_coefficient"] == 2.0
    assert kept["metadata"]["model_name"] == "m"
    saes.save(saes.load(tmp_path), tmp_path / "again", metadata=kept)
    assert saes.metadata(tmp_path / "again") == kept


@pytest.mark.parametrize("name", ["batchtopk", "matryoshka_batchtopk"])
def test_batch_top_k_is_written_as_a_jump_relu_of_unit_rows(name, tmp_path):
    dictionary = made(name)
    saes.save(dictionary, tmp_path)
    again = saes.load(tmp_path)
    assert saes.metadata(tmp_path)["architecture"] == "jumprelu"
    np.testing.assert_allclose(again.norms, 1, rtol=1e-6)
    np.testing.assert_allclose(
        again.encode(X), dictionary.encode(X), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(again(X), dictionary(X), rtol=1e-5, atol=1e-5)


def test_a_training_save_of_batch_top_k_has_its_threshold(tmp_path):
    dictionary = made("batchtopk")
    weights = {
        name: np.asarray(getattr(dictionary, name))
        for name in ("W_enc", "b_enc", "W_dec", "b_dec")
    }
    save_file(
        weights | {"topk_threshold": np.array(0.25)},
        tmp_path / "sae_weights.safetensors",
    )
    cfg = {"architecture": "batchtopk", "d_in": D_IN, "d_sae": D_SAE, "k": 2.5}
    cfg["rescale_acts_by_decoder_norm"] = True
    (tmp_path / "cfg.json").write_text(json.dumps(cfg))
    expected = saes.Above(jnp.full(D_SAE, 0.25))
    assert_equal(
        saes.load(tmp_path), dataclasses.replace(dictionary, nonlinearity=expected)
    )


def sparsify_folder(folder, **settings):
    """A folder as sparsify 1.3.3 writes it: W_dec as it is, `num_latents` 0."""
    save_file(
        {
            "encoder.weight": np.asarray(EXACT["topk"].W_enc.T).copy(),
            "encoder.bias": np.asarray(EXACT["topk"].b_enc),
            "W_dec": np.asarray(EXACT["topk"].W_dec),
            "b_dec": np.asarray(EXACT["topk"].b_dec),
        },
        folder / "sae.safetensors",
    )
    cfg = {"activation": "topk", "expansion_factor": 2, "normalize_decoder": True}
    cfg |= {"num_latents": D_SAE, "k": 3, "multi_topk": False, "d_in": D_IN}
    cfg |= {"skip_connection": False, "transcode": False} | settings
    (folder / "cfg.json").write_text(json.dumps(cfg))


def test_sparsify_selects_before_scaling_and_is_written_back_exactly(tmp_path):
    sparsify_folder(tmp_path)
    dictionary = saes.load(tmp_path)
    assert_equal(dictionary, dataclasses.replace(EXACT["topk"], scales=False))
    saes.save(dictionary, tmp_path / "again", "sparsify", saes.metadata(tmp_path))
    assert_equal(saes.load(tmp_path / "again"), dictionary)
    assert saes.metadata(tmp_path / "again") == saes.metadata(tmp_path)


def test_sparsify_num_latents_0_is_the_width_times_expansion(tmp_path):
    sparsify_folder(tmp_path, num_latents=0, expansion_factor=3)
    with pytest.raises(CheckpointError, match=r"should be \[18, 6\]"):
        saes.load(tmp_path)


def test_scaled_latents_are_written_to_sparsify_with_unit_rows(tmp_path):
    saes.save(EXACT["topk"], tmp_path, format="sparsify")
    again = saes.load(tmp_path)
    np.testing.assert_allclose(
        again.encode(X), EXACT["topk"].encode(X), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("kind", ["Relu", "Above", "KeepTop"])
def test_circuit_tracer_stores_its_encoder_turned(kind, tmp_path):
    dictionary = {
        "Relu": EXACT["skip_transcoder"],
        "Above": EXACT["jumprelu_skip_transcoder"],
        "KeepTop": dataclasses.replace(
            EXACT["skip_transcoder"], nonlinearity=saes.KeepTop(jnp.int32(3), 3)
        ),
    }[kind]
    names = ("b_enc", "W_dec", "b_dec", "W_skip")
    weights = {name: np.asarray(getattr(dictionary, name)) for name in names}
    weights["W_enc"] = np.asarray(dictionary.W_enc.T).copy()
    if kind == "Above":
        theta = np.asarray(dictionary.nonlinearity.threshold)
        weights["activation_function.threshold"] = theta
    if kind == "KeepTop":
        weights["k"] = np.array(3)
    save_file(weights, tmp_path / "layer_0.safetensors")
    assert_equal(saes.load(tmp_path / "layer_0.safetensors"), dictionary)


def test_an_unknown_architecture_is_told_which_there_are(tmp_path):
    saes.save(EXACT["standard"], tmp_path)
    cfg = json.loads((tmp_path / "cfg.json").read_text())
    (tmp_path / "cfg.json").write_text(json.dumps(cfg | {"architecture": "temporal"}))
    with pytest.raises(CheckpointError, match="temporal.*standard.*jumprelu"):
        saes.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_sae": 10**9}, "should be"),
        ({"d_in": "six"}, "whole number"),
        ({"d_sae": -1}, "whole number"),
        ({"normalize_activations": "layer_norm"}, "Normalise the activations"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_arrays_are_read(
    change, message, tmp_path
):
    saes.save(EXACT["standard"], tmp_path)
    cfg = json.loads((tmp_path / "cfg.json").read_text())
    (tmp_path / "cfg.json").write_text(json.dumps(cfg | change))
    with pytest.raises(CheckpointError, match=message):
        saes.load(tmp_path)


def test_a_cut_file_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no dictionary"):
        saes.load(tmp_path)
    saes.save(EXACT["standard"], tmp_path)
    file = tmp_path / "sae_weights.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="sae_weights.safetensors"):
        saes.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        saes.load(tmp_path / "nowhere")


def test_what_a_format_has_not_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no architecture for a crosscoder"):
        saes.save(made("crosscoder"), tmp_path)
    with pytest.raises(ValueError, match="top-k dictionaries of one width"):
        saes.save(EXACT["standard"], tmp_path, format="sparsify")
    with pytest.raises(ValueError, match="only read"):
        saes.save(EXACT["standard"], tmp_path, format="dictionary_learning")
    assert not list(pathlib.Path(tmp_path).iterdir())


def test_unit_rows_leave_latents_and_output():
    for name in ("standard", "gated", "topk", "jumprelu", "batchtopk"):
        old = made(name)
        new = saes.unit_rows(old)
        lengths = jnp.where(old.scales, 1, old.norms)
        np.testing.assert_allclose(
            new.encode(X), old.encode(X) * lengths[None], rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose(new(X), old(X), rtol=1e-5, atol=1e-5)


def test_the_files_are_what_saelens_reads(tmp_path):
    saes.save(EXACT["gated"], tmp_path)
    names = set(load_file(tmp_path / "sae_weights.safetensors"))
    assert names == {"W_enc", "W_dec", "b_dec", "b_gate", "b_mag", "r_mag"}


LAYERS = {"encoder.weight": "W_enc", "encoder.bias": "b_enc", "decoder.weight": "W_dec"}
OTHERS = {
    "AutoEncoderTopK": ("topk", {"b_dec": "b_dec"}, {"k": 3, "threshold": -1.0}),
    "BatchTopKSAE": ("batchtopk", {"b_dec": "b_dec"}, {"k": 3, "threshold": 0.5}),
    "GatedAutoEncoder": ("gated", {"decoder_bias": "b_dec"}, {}),
    "AutoEncoder": ("standard", {"bias": "b_dec"}, {}),
    "JumpReluAutoEncoder": ("jumprelu", {}, {}),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_dictionary_learning_is_read_by_its_names(kind, tmp_path):
    torch = pytest.importorskip("torch")
    name, biases, numbers = OTHERS[kind]
    ours = made(name)
    tensor = lambda x: torch.tensor(np.asarray(x))
    if kind == "JumpReluAutoEncoder":
        names = ("W_enc", "b_enc", "W_dec", "b_dec")
        weights = {key: tensor(getattr(ours, key)) for key in names}
        weights["threshold"] = tensor(ours.nonlinearity.threshold)
    else:
        pairs = {key: getattr(ours, attribute) for key, attribute in LAYERS.items()}
        weights = {k: tensor(v.T) for k, v in pairs.items() if v is not None}
        weights |= {k: tensor(getattr(ours, a)) for k, a in biases.items()}
        weights |= {key: torch.tensor(number) for key, number in numbers.items()}
    if kind == "GatedAutoEncoder":
        gate = ours.nonlinearity
        parts = {"gate_bias": gate.b_gate, "mag_bias": gate.b_mag, "r_mag": gate.r_mag}
        weights |= {key: tensor(value) for key, value in parts.items()}
    torch.save(weights, tmp_path / "ae.pt")
    told = {"trainer": {"dict_class": kind, "layer": 3}, "buffer": {"ctx_len": 128}}
    (tmp_path / "config.json").write_text(json.dumps(told))
    changes = {"scales": False, "centred": kind != "JumpReluAutoEncoder"}
    if kind == "BatchTopKSAE":
        changes["nonlinearity"] = saes.Above(jnp.full(D_SAE, 0.5))
    assert_equal(saes.load(tmp_path), dataclasses.replace(ours, **changes))
    assert saes.metadata(tmp_path) == told


def test_an_unknown_class_of_dictionary_learning_is_told_which_there_are(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"encoder.weight": torch.zeros(4, 2)}, tmp_path / "ae.pt")
    (tmp_path / "config.json").write_text(
        json.dumps({"trainer": {"dict_class": "CrossCoder"}})
    )
    with pytest.raises(CheckpointError, match="CrossCoder.*AutoEncoderTopK"):
        saes.load(tmp_path)
