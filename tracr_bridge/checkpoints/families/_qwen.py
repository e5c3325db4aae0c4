"""Qwen 2 (biases on queries, keys and values) and Qwen 3 (normalised ones)."""

from typing import Any

from jaxcirc.models import TransformerConfig

from . import _llama
from ._family import Family, layer_windows, sizes, write_sizes
from ._fields import Fields, activation_name
from ._llama import L, rms
from ._rotary import read_rotary, write_rotary


def read(f: Fields) -> TransformerConfig:
    """Our config for the `config.json` of a Qwen 2 or Qwen 3."""
    three = f.family == "qwen3"
    own: dict[str, Any] = {"attention_bias": "qkv"}
    if three:
        bias = f.flag("attention_bias", default=False)
        own = {"attention_bias": bias, "qk_norm": "head"}
        own |= {"d_head": f.size("head_dim", default=128)}
    made = sizes(f, n_ctx=32_768, n_kv_heads=32)
    return TransformerConfig(
        **made | own | read_rotary(f),
        window=_windows(f, made["n_layers"]),
        activation=f.activation("hidden_act", default="silu"),
        norm="rms",
        norm_eps=f.number("rms_norm_eps", default=1e-6),
        tied=f.flag("tie_word_embeddings", default=False),
    )


def _windows(f: Fields, layers: int) -> tuple[int | None, ...] | None:
    """Windows by layer; those from `max_window_layers` on have one, if switched on."""
    first = f.number("max_window_layers", default=28)
    window = f.size("sliding_window", default=4096, null=None)
    used = f.flag("use_sliding_window", default=False)
    if f.get("layer_types", default=None, null=None) is not None:
        # Switched off and yet listed, a window is a contradiction, and is refused.
        found = layer_windows(f, layers, window if used else None)
        return found if used else None
    if not used:
        return None
    return tuple(window if layer >= first else None for layer in range(layers))


def write(c: TransformerConfig) -> dict[str, Any]:
    """The `config.json` of a Qwen 2 or Qwen 3 for our config."""
    raw = write_sizes(c) | {
        "hidden_act": activation_name(c.activation),
        "rms_norm_eps": c.norm_eps,
        "rope_parameters": write_rotary(c),
        "use_sliding_window": isinstance(c.window, tuple),
    }
    if isinstance(c.window, tuple):
        kinds = ["sliding_attention" if w else "full_attention" for w in c.window]
        raw |= {"sliding_window": max(w or 0 for w in c.window), "layer_types": kinds}
    return raw if c.qk_norm == "none" else raw | {"attention_bias": c.attention_bias}


QWEN2 = Family(
    name="qwen2",
    architecture="Qwen2ForCausalLM",
    read=read,
    write=write,
    prefix="model.",
    rules=_llama.RULES,
    buffers=_llama.BUFFERS,
)
QWEN3 = QWEN2._replace(
    name="qwen3",
    architecture="Qwen3ForCausalLM",
    rules=(
        *_llama.RULES,
        rms(f"{L}.self_attn.q_norm", "attn.q_norm"),
        rms(f"{L}.self_attn.k_norm", "attn.k_norm"),
    ),
)
