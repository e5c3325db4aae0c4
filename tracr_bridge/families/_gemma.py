"""Gemma 1, 2 and 3 (text): scaled embeddings, RMSNorm of 1 + w, gated GELU."""

from typing import Any

from jaxcirc.models import TransformerConfig

from . import _llama
from ._family import Family, layer_windows, sizes, write_sizes
from ._fields import Fields, UnsupportedOption, activation_name
from ._llama import EMBEDDINGS, L, rms
from ._rotary import parse_rotary, read_rotary, write_rotary
from ._rule import attention, gated_mlp

_BOTH_WAYS = "the model's mask is causal"


def _shared(f: Fields) -> dict[str, Any]:
    f.need("use_bidirectional_attention", False, _BOTH_WAYS)
    out = sizes(f)
    return out | {
        "d_head": f.size("head_dim", default=256),
        "attention_bias": f.flag("attention_bias", default=False),
        "activation": f.activation(
            "hidden_activation", "hidden_act", default="gelu_pytorch_tanh"
        ),
        "norm": "rms_plus_one",
        "norm_eps": f.number("rms_norm_eps", default=1e-6),
        "embedding_scale": out["d_model"] ** 0.5,
        "tied": f.flag("tie_word_embeddings", default=True),
    }


def _windows(f: Fields, pattern: int) -> tuple[int | None, ...]:
    """Every `pattern`-th layer sees everything, unless `layer_types` says otherwise."""
    layers, window = (
        f.layers("num_hidden_layers"),
        f.size("sliding_window", default=4096),
    )
    pattern = f.size(
        "sliding_window_pattern", "_sliding_window_pattern", default=pattern
    )
    if f.get("layer_types", default=None) is not None:
        return layer_windows(f, layers, window)
    return tuple(window if (i + 1) % pattern else None for i in range(layers))


def read_gemma(f: Fields) -> TransformerConfig:
    """From `config.json`."""
    return TransformerConfig(**_shared(f) | read_rotary(f))


def read_gemma2(f: Fields) -> TransformerConfig:
    """From `config.json`."""
    return TransformerConfig(
        **_shared(f) | read_rotary(f),
        norm_position="both",
        window=_windows(f, 2),
        attention_scale=f.positive("query_pre_attn_scalar", default=256) ** -0.5,
        attention_softcap=f.get("attn_logit_softcapping", default=None),
        logit_softcap=f.get("final_logit_softcapping", default=None),
    )


def read_gemma3(f: Fields) -> TransformerConfig:
    """From `config.json`; its soft cap of scores is not used, as in transformers."""
    f.need("attn_logit_softcapping", None, "the published code does not apply it")
    windows = _windows(f, 6)
    new = f.get("rope_parameters", default={})
    local = {"rope_theta": f.number("rope_local_base_freq", default=1e4)}
    wide = {"rope_theta": f.number("rope_theta", default=1e6)}
    local |= new.get("sliding_attention") or {}
    wide |= f.get("rope_scaling", default={}) | (new.get("full_attention") or {})
    rotary = [parse_rotary(f.family, local if w else wide) for w in windows]
    for one in rotary:
        if "rotary_llama3" in one:
            raise UnsupportedOption(
                f"config.json of {f.family}: llama3 scaling is not supported: layers "
                "cannot differ in it here."
            )
    factors = tuple(one.get("rotary_factor", 1.0) for one in rotary)
    return TransformerConfig(
        **_shared(f),
        positions="rotary",
        rotary_base=tuple(one["rotary_base"] for one in rotary),
        rotary_factor=1.0 if set(factors) == {1.0} else factors,
        qk_norm="head",
        norm_position="both",
        window=windows,
        attention_scale=f.positive("query_pre_attn_scalar", default=256) ** -0.5,
        logit_softcap=f.get("final_logit_softcapping", default=None),
    )


def _write_shared(c: TransformerConfig, activation: str) -> dict[str, Any]:
    return write_sizes(c) | {
        "attention_bias": c.attention_bias,
        activation: activation_name(c.activation),
        "rms_norm_eps": c.norm_eps,
    }


def write_gemma(c: TransformerConfig) -> dict[str, Any]:
    """To `config.json`."""
    return _write_shared(c, "hidden_act") | {"rope_parameters": write_rotary(c)}


def write_gemma2(c: TransformerConfig) -> dict[str, Any]:
    """To `config.json`."""
    windows = c.window if isinstance(c.window, tuple) else ()
    scalar = c.attention_scale**-2
    # Written as a whole number where it is one: it comes back through the root.
    scalar = round(scalar) if round(scalar) ** -0.5 == c.attention_scale else scalar
    return _write_shared(c, "hidden_activation") | {
        "rope_parameters": write_rotary(c),
        "sliding_window": max((w or 0 for w in windows), default=0) or 4096,
        "layer_types": [
            "sliding_attention" if w else "full_attention" for w in windows
        ],
        "query_pre_attn_scalar": scalar,
        "attn_logit_softcapping": c.attention_softcap,
        "final_logit_softcapping": c.logit_softcap,
    }


def write_gemma3(c: TransformerConfig) -> dict[str, Any]:
    """To `config.json`."""
    raw = write_gemma2(c)
    kinds = raw["layer_types"]
    rotary = {kind: write_rotary(c, kinds.index(kind)) for kind in set(kinds)}
    return raw | {"rope_parameters": dict(sorted(rotary.items()))}


GEMMA = Family(
    name="gemma",
    architecture="GemmaForCausalLM",
    read=read_gemma,
    write=write_gemma,
    prefix="model.",
    rules=_llama.RULES,
    buffers=_llama.BUFFERS,
)
GEMMA2 = GEMMA._replace(
    name="gemma2",
    architecture="Gemma2ForCausalLM",
    read=read_gemma2,
    write=write_gemma2,
    resid_mid=f"{L}.pre_feedforward_layernorm",
    # `post_attention_layernorm` acts on what attention wrote, not on the MLP's input.
    rules=(
        *EMBEDDINGS,
        rms(f"{L}.input_layernorm", "ln1"),
        *attention(f"{L}.self_attn"),
        rms(f"{L}.post_attention_layernorm", "ln1_post"),
        rms(f"{L}.pre_feedforward_layernorm", "ln2"),
        *gated_mlp(f"{L}.mlp"),
        rms(f"{L}.post_feedforward_layernorm", "ln2_post"),
        rms("model.norm", "ln_final"),
    ),
)
GEMMA3 = GEMMA2._replace(
    name="gemma3_text",
    architecture="Gemma3ForCausalLM",
    read=read_gemma3,
    write=write_gemma3,
    rules=(
        *GEMMA2.rules,
        rms(f"{L}.self_attn.q_norm", "attn.q_norm"),
        rms(f"{L}.self_attn.k_norm", "attn.k_norm"),
    ),
)
