"""Llama, and what follows its layout: SmolLM, Amber, and Mistral with its window."""

from typing import Any

from jaxcirc.models import TransformerConfig

from ._family import Family, layer_windows, sizes, write_sizes
from ._fields import Fields, activation_name
from ._rotary import read_rotary, write_rotary
from ._rule import Rule, attention, gated_mlp, rule


def read(f: Fields) -> TransformerConfig:
    """Our config for a Llama's `config.json`."""
    bias = f.flag("attention_bias", default=False)
    return TransformerConfig(**_shared(f, sizes(f) | {"attention_bias": bias}))


def read_mistral(f: Fields) -> TransformerConfig:
    """Our config for a Mistral, which has a window unless its config says null."""
    f.need("attention_bias", False, "its attention has none")
    # A missing key and null differ: 4,096 is what transformers puts in for a missing
    # one.
    window = f.size("sliding_window", default=4096, null=None)
    made = sizes(f, n_ctx=131_072, n_kv_heads=8)
    if "layer_types" in f:
        layers = layer_windows(f, made["n_layers"], window)
        if set(layers) != {window}:
            raise f.refuse("layer_types", "has layers of several kinds, as none has")
    return TransformerConfig(**_shared(f, made | {"window": window}))


def _shared(f: Fields, made: dict[str, Any]) -> dict[str, Any]:
    f.need("mlp_bias", False, "the gate of the MLP has no bias here")
    return {
        **made,
        **read_rotary(f),
        "activation": f.activation("hidden_act", default="silu"),
        "norm": "rms",
        "norm_eps": f.number("rms_norm_eps", default=1e-6),
        "tied": f.flag("tie_word_embeddings", default=False),
    }


def write(c: TransformerConfig) -> dict[str, Any]:
    """A Llama's `config.json` for our config."""
    return write_sizes(c) | {
        "attention_bias": c.attention_bias,
        "hidden_act": activation_name(c.activation),
        "rms_norm_eps": c.norm_eps,
        "rope_parameters": write_rotary(c),
    }


def write_mistral(c: TransformerConfig) -> dict[str, Any]:
    """A Mistral's `config.json` for our config."""
    raw = write(c) | {"sliding_window": c.window}
    del raw["attention_bias"]
    return raw


def rms(theirs: str, ours: str) -> Rule:
    """The rule of a norm without a bias."""
    return rule(f"{theirs}.weight", f"{ours}.weight", "m -> m")


L = "model.layers.{layer}"
EMBEDDINGS = (
    rule("model.embed_tokens.weight", "W_E", "v m -> v m"),
    rule("lm_head.weight", "W_U", "v m -> m v"),
)
RULES = (
    *EMBEDDINGS,
    rms(f"{L}.input_layernorm", "ln1"),
    *attention(f"{L}.self_attn"),
    rms(f"{L}.post_attention_layernorm", "ln2"),
    *gated_mlp(f"{L}.mlp"),
    rms("model.norm", "ln_final"),
)
BUFFERS = (r"rotary_emb\.inv_freq$",)
FAMILY = Family(
    name="llama",
    architecture="LlamaForCausalLM",
    read=read,
    write=write,
    prefix="model.",
    rules=RULES,
    buffers=BUFFERS,
)
MISTRAL = FAMILY._replace(
    name="mistral",
    architecture="MistralForCausalLM",
    # Without a window the two are one model.
    yields_to=("llama",),
    read=read_mistral,
    write=write_mistral,
)
