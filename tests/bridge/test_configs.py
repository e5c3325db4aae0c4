"""What a `config.json` leaves out or sets to null means what it does in transformers.

The values are those of its config classes (5.24), for a model of 4 layers of 32.
"""

import json
import warnings

import jax.numpy as jnp
import pytest

import tracr_bridge as tb
from tracr_bridge.checkpoints.families import UnsupportedOption

FAMILY = {row.name: row for row in tb.FAMILIES}
SIZES = {
    "vocab_size": 37,
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 40,
}
HEAD_8 = {"head_dim": 8}
NONE = (None,) * 4


def read(family, options, drop=()):
    raw = {k: v for k, v in SIZES.items() if k not in drop}
    return FAMILY[family].config(raw | options)


@pytest.mark.parametrize(
    ("family", "options", "field", "value"),
    [
        ("llama", {}, "norm_eps", 1e-6),
        ("llama", {}, "n_ctx", 2048),
        ("llama", {"num_key_value_heads": None}, "n_kv_heads", 4),
        ("llama", {"head_dim": None}, "d_head", 8),
        ("llama", {"rope_parameters": None, "rope_scaling": None}, "rotary_base", 1e4),
        ("mistral", {}, "window", 4096),
        ("mistral", {"sliding_window": None}, "window", None),
        ("mistral", {"sliding_window": 7}, "window", 7),
        ("mistral", {}, "n_ctx", 131_072),
        ("gemma", {}, "activation", "gelu_tanh"),
        ("gemma", {"hidden_act": "gelu"}, "activation", "gelu_tanh"),
        (
            "gemma",
            {"hidden_act": "gelu", "hidden_activation": None},
            "activation",
            "gelu_tanh",
        ),
        ("gemma", {}, "d_head", 256),
        ("gemma", {}, "n_ctx", 8192),
        ("gemma2", {"hidden_act": "gelu"} | HEAD_8, "activation", "gelu_tanh"),
        ("gemma2", {"hidden_activation": "gelu"} | HEAD_8, "activation", "gelu"),
        ("gemma2", HEAD_8, "attention_softcap", 50.0),
        ("gemma2", HEAD_8, "logit_softcap", 30.0),
        (
            "gemma2",
            {"attn_logit_softcapping": None} | HEAD_8,
            "attention_softcap",
            None,
        ),
        ("gemma2", {"final_logit_softcapping": None} | HEAD_8, "logit_softcap", None),
        ("gemma2", HEAD_8, "attention_scale", 256**-0.5),
        ("gemma2", HEAD_8, "window", (4096, None) * 2),
        ("gemma2", {"use_bidirectional_attention": None} | HEAD_8, "causal", True),
        ("gemma3_text", HEAD_8, "logit_softcap", None),
        ("gemma3_text", HEAD_8, "window", (4096,) * 4),
        ("gemma3_text", HEAD_8, "rotary_base", (1e4,) * 4),
        (
            "gemma3_text",
            {"sliding_window_pattern": 2} | HEAD_8,
            "rotary_base",
            (1e4, 1e6) * 2,
        ),
        ("qwen2", {}, "window", None),
        ("qwen2", {"sliding_window": 5}, "window", None),
        ("qwen2", {}, "n_ctx", 32_768),
        (
            "qwen2",
            {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 2},
            "window",
            (None, None, 5, 5),
        ),
        (
            "qwen2",
            {"use_sliding_window": True, "sliding_window": None},
            "window",
            NONE,
        ),
        ("qwen3", {"use_sliding_window": True}, "window", NONE),
        ("qwen3", {}, "d_head", 128),
        ("olmo", {}, "clip_qkv", None),
        ("olmo", {"clip_qkv": None}, "clip_qkv", None),
        ("olmo2", {}, "norm_eps", 1e-5),
        ("gpt_neox", {}, "rotary_fraction", 0.25),
        ("gpt_neox", {"rotary_pct": 0.5}, "rotary_fraction", 0.5),
        ("gpt_neox", {"rotary_emb_base": 7}, "rotary_base", 7.0),
    ],
)
def test_missing_and_null_keys_are_read_as_transformers_does(
    family, options, field, value
):
    drop = ("num_key_value_heads",) if family == "gpt_neox" else ()
    config = read(family, options, drop)
    known = config.sizes if hasattr(config.sizes, field) else config
    assert getattr(known, field) == value


@pytest.mark.parametrize(
    ("family", "heads"), [("mistral", 8), ("gemma2", 4), ("qwen2", 32), ("olmo", 64)]
)
def test_heads_of_keys_where_the_config_does_not_say(family, heads):
    found = read(family, {"num_attention_heads": 64} | HEAD_8, ["num_key_value_heads"])
    assert found.sizes.n_kv_heads == heads


def test_gpt2_takes_the_inner_width_of_null():
    raw = {"vocab_size": 5, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_inner": None}
    config = FAMILY["gpt2"].config(raw)
    assert (config.sizes.d_mlp, config.n_ctx) == (32, 1024)


LINEAR = {"rope_type": "linear", "factor": 2.0}
LLAMA3 = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0}
LLAMA3 |= {"high_freq_factor": 4.0}


def test_rotary_options_in_each_of_their_places():
    assert read("llama", {"rope_scaling": LINEAR}).rotary_factor == 2
    assert read("llama", {"rope_scaling": {"type": "linear", "factor": 3}}) == read(
        "llama", {"rope_parameters": {"rope_type": "linear", "factor": 3.0}}
    )
    # Where both are there, the older key counts.
    both = {"rope_scaling": LINEAR, "rope_parameters": {"rope_theta": 3.0}}
    assert read("llama", both).rotary_base == 1e4
    config = read("llama", {"rope_parameters": LLAMA3, "max_position_embeddings": 64})
    assert config.rotary_llama3 is not None
    assert config.rotary_llama3.n_ctx == 64
    local = {"rope_parameters": {"sliding_attention": LINEAR}} | HEAD_8
    assert read("gemma3_text", local).rotary_factor == (2.0,) * 4


@pytest.mark.parametrize(
    ("family", "options", "told"),
    [
        ("llama", {"rope_parameters": {"beta_fast": 32}}, "rope_parameters.beta_fast"),
        ("llama", {"rope_scaling": LINEAR | {"new": 1}}, "rope_scaling.new"),
        (
            "llama",
            {"rope_parameters": {"full_attention": LINEAR}},
            "rope_parameters.full_attention",
        ),
        ("gpt_neox", {"rope_parameters": {"mscale": 1}}, "rope_parameters.mscale"),
        ("gemma3_text", {"rope_parameters": LINEAR}, "rope_parameters.factor"),
        (
            "gemma3_text",
            {"rope_parameters": {"full_attention": {"mscale": 1}}},
            "rope_parameters.full_attention.mscale",
        ),
    ],
)
def test_rotary_options_that_nobody_reads_are_told(family, options, told):
    drop = ("num_key_value_heads",) if family == "gpt_neox" else ()
    with pytest.warns(UserWarning, match=f"{told}.* not followed"):
        read(family, options | ({} if family != "gemma3_text" else HEAD_8), drop)


INF = float("inf")


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        ("llama", {"rope_parameters": LINEAR | {"factor": 0}}, "factor` must be above"),
        ("llama", {"rope_scaling": LINEAR | {"factor": INF}}, "factor` must be a numb"),
        ("llama", {"rope_scaling": LINEAR | {"factor": "2"}}, "factor` must be a numb"),
        ("llama", {"rope_scaling": {"type": "linear"}}, "factor` is missing"),
        ("llama", {"rope_scaling": [1]}, "`rope_scaling` must be a mapping"),
        ("llama", {"rope_theta": -1.0}, "`rope_theta` must be a number, at least 0"),
        ("llama", {"rope_theta": None}, "`rope_theta` is null"),
        ("llama", {"rms_norm_eps": float("nan")}, "`rms_norm_eps` must be a number"),
        ("llama", {"rms_norm_eps": None}, "`rms_norm_eps` is null"),
        ("llama", {"partial_rotary_factor": 0.5}, "whole heads are turned"),
        ("llama", {"num_hidden_layers": 10**9}, "more than any model has"),
        ("llama", {"hidden_act": ["silu"]}, "the activation .* is not supported"),
        ("mistral", {"attention_bias": True}, "its attention has none"),
        ("mistral", {"sliding_window": 10**30}, "at most 2,147,483,647; got 1000"),
        ("gemma", {"hidden_activation": "relu"}, "versions of transformers differ"),
        ("gemma2", {"attn_logit_softcapping": []}, "must be a number, at least 0"),
        ("gemma2", {"final_logit_softcapping": 0}, "must be above 0"),
        ("gemma2", {"sliding_window": None}, "`sliding_window` is null"),
        ("gemma2", {"use_bidirectional_attention": True}, "mask is causal"),
        ("gemma3_text", {"rope_parameters": {"full_attention": 3}}, "must be a mapp"),
        ("qwen2", {"layer_types": ["sliding_attention"] * 4}, "given or switched on"),
        ("qwen2", {"layer_types": "full_attention"}, "must name 4 layers"),
        ("olmo", {"clip_qkv": "8"}, "`clip_qkv` must be a number"),
        ("gpt_neox", {"rope_theta": 5.0}, "transformers reads 10000.0 from other keys"),
        ("gpt_neox", {"partial_rotary_factor": 1.0}, "transformers reads 0.25"),
    ],
)
def test_values_that_are_none_are_refused_when_they_are_read(family, options, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(UnsupportedOption, match=message):
            read(family, HEAD_8 | options)


def test_a_folder_of_gemma_as_the_hub_has_it_computes_the_approximation(tmp_path):
    import jax.random as jr

    from jaxcirc.models import MODELS, Transformer

    (spec,) = (row for row in MODELS if row.name == "gemma")
    model = Transformer(spec.build(11, 8, **spec.tiny), key=jr.key(0))
    tb.save(model, str(tmp_path))
    path = tmp_path / "config.json"
    raw = json.loads(path.read_text()) | {"hidden_act": "gelu"}
    path.write_text(json.dumps(raw))
    tokens = jnp.array([[1, 2, 3]])
    assert (tb.load(str(tmp_path))(tokens) == model(tokens)).all()
