"""Gemma 1, 2 and 3 (text): scaled embeddings, RMSNorm of 1 + w, gated GELU."""

from typing import Any

from jaxcirc.models import TransformerConfig

from . import _llama
from ._family import Family, layer_windows, sizes, write_sizes
from ._fields import ACTIVATIONS, Fields, UnsupportedOption, activation_name
from ._llama import EMBEDDINGS, L, rms
from ._rotary import parse_rotary, read_rotary, write_rotary
from ._rule import attention, gated_mlp

_BOTH_WAYS = "the model's mask is causal"
_TANH = "gelu_pytorch_tanh"


def _shared(f: Fields, n_ctx: int, n_kv_heads: int) -> dict[str, Any]:
    f.need("use_bidirectional_attention", False, _BOTH_WAYS)
    out = sizes(f, n_ctx=n_ctx, n_kv_heads=n_kv_heads)
    return out | {
        "d_head": f.size("head_dim", default=256),
        "attention_bias": f.flag("attention_bias", default=False),
        "norm": "rms_plus_one",
        "norm_eps": f.number("rms_norm_eps", default=1e-6),
        "embedding_scale": None,
        "tied": f.flag("tie_word_embeddings", default=True),
    }


def _first_activation(f: Fields) -> Any:
    """The activation of a Gemma 1, whose files say `gelu` and mean the approximation.

    Raises:
        UnsupportedOption: the two keys for it contradict each other.
    """
    found = f.activation("hidden_act", default=_TANH)
    found = "gelu_tanh" if found == "gelu" else found
    newer = f.get("hidden_activation", default=None, null=None)
    if newer is not None and ACTIVATIONS.get(str(newer)) != found:
        raise f.refuse(
            "hidden_activation",
            f"= {newer!r:.40} is not supported: versions of transformers differ in "
            "whether it counts; `hidden_act` does in all of them",
        )
    return found


def _activation(f: Fields) -> Any:
    """The activation of a Gemma 2 or 3, which pass over `hidden_act`."""
    f.get("hidden_act", default=None, null=None)
    return f.activation("hidden_activation", default=_TANH)


def _windows(f: Fields, layers: int, pattern: int) -> tuple[int | None, ...]:
    """Windows by layer: those of `layer_types`, or none in every `pattern`-th."""
    window = f.size("sliding_window", default=4096)
    if f.get("layer_types", default=None, null=None) is not None:
        return layer_windows(f, layers, window)
    return tuple(window if (i + 1) % pattern else None for i in range(layers))


def read_gemma(f: Fields) -> TransformerConfig:
    """Our config for a Gemma 1's `config.json`."""
    return TransformerConfig(
        **_shared(f, 8192, 16) | read_rotary(f), activation=_first_activation(f)
    )


def read_gemma2(f: Fields) -> TransformerConfig:
    """Our config for a Gemma 2's `config.json`."""
    made = _shared(f, 8192, 4)
    return TransformerConfig(
        **made | read_rotary(f),
        activation=_activation(f),
        norm_position="both",
        window=_windows(f, made["n_layers"], 2),
        attention_scale=f.positive("query_pre_attn_scalar", default=256) ** -0.5,
        attention_softcap=f.positive("attn_logit_softcapping", default=50.0, null=None),
        logit_softcap=f.positive("final_logit_softcapping", default=30.0, null=None),
    )


def read_gemma3(f: Fields) -> TransformerConfig:
    """Our config for a Gemma 3; as in transformers, scores are not capped."""
    f.need("attn_logit_softcapping", None, "the published code does not apply it")
    made = _shared(f, 131_072, 4)
    pattern = f.size("sliding_window_pattern", default=6)
    if "layer_types" in f:
        f.get("_sliding_window_pattern", default=None, null=None)
    windows = _windows(f, made["n_layers"], pattern)
    return TransformerConfig(
        **made,
        **_rotary_by_layer(f, windows),
        activation=_activation(f),
        qk_norm="head",
        norm_position="both",
        window=windows,
        attention_scale=f.positive("query_pre_attn_scalar", default=256) ** -0.5,
        logit_softcap=f.positive("final_logit_softcapping", default=None, null=None),
    )


def _rotary_by_layer(f: Fields, windows: tuple[int | None, ...]) -> dict[str, Any]:
    """Layers with a window turn otherwise than those that see everything."""
    both = f.inner("rope_parameters", f.mapping("rope_parameters"))
    local = {"rope_theta": f.positive("rope_local_base_freq", default=1e4)}
    wide = {"rope_theta": f.positive("rope_theta", default=1e6)}
    local |= both.mapping("sliding_attention")
    wide |= both.mapping("full_attention") | f.mapping("rope_scaling")
    found = {
        True: parse_rotary(both, "sliding_attention", local),
        False: parse_rotary(both, "full_attention", wide),
    }
    if any("rotary_llama3" in one for one in found.values()):
        raise UnsupportedOption(
            f"config.json of {f.family}: llama3 scaling is not supported: layers "
            "cannot differ in it here."
        )
    rotary = [found[window is not None] for window in windows]
    factors = tuple(one.get("rotary_factor", 1.0) for one in rotary)
    return {
        "positions": "rotary",
        "rotary_base": tuple(one["rotary_base"] for one in rotary),
        "rotary_factor": 1.0 if set(factors) == {1.0} else factors,
    }


def _write_shared(c: TransformerConfig, activation: str) -> dict[str, Any]:
    return write_sizes(c) | {
        "attention_bias": c.attention_bias,
        activation: activation_name(c.activation),
        "rms_norm_eps": c.norm_eps,
    }


def write_gemma(c: TransformerConfig) -> dict[str, Any]:
    """A Gemma 1's `config.json` for our config."""
    return _write_shared(c, "hidden_act") | {"rope_parameters": write_rotary(c)}


def write_gemma2(c: TransformerConfig) -> dict[str, Any]:
    """A Gemma 2's `config.json` for our config."""
    windows = c.window if isinstance(c.window, tuple) else ()
    scale = c.sizes.attention_scale
    scalar = scale**-2
    # Written as a whole number where it is one: it comes back through the root.
    scalar = round(scalar) if round(scalar) ** -0.5 == scale else scalar
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
    """A Gemma 3's `config.json` for our config."""
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
