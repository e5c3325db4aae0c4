"""OLMo (norms without parameters) and OLMo 2 (norms after each sub-layer)."""

from typing import Any

from jaxcirc.models import TransformerConfig

from . import _llama
from ._family import Family, sizes, write_sizes
from ._fields import Fields, activation_name
from ._llama import EMBEDDINGS, L, rms
from ._rotary import read_rotary, write_rotary
from ._rule import attention, gated_mlp


def read(f: Fields) -> TransformerConfig:
    """Our config for the `config.json` of an OLMo or OLMo 2."""
    two = f.family == "olmo2"
    own: dict[str, Any] = {
        "norm": "layer_nonparametric",
        "clip_qkv": None if two else f.positive("clip_qkv", default=None, null=None),
    }
    if two:
        # OLMo 2 normalises what a sub-layer writes, and queries and keys over all
        # heads.
        own = {"norm": "rms", "norm_position": "after", "qk_norm": "all"}
        own |= {"norm_eps": f.number("rms_norm_eps", default=1e-5)}
    options: dict[str, Any] = (
        sizes(f)
        | {"attention_bias": f.flag("attention_bias", default=False)}
        | read_rotary(f)
        | own
    )
    return TransformerConfig(
        **options,
        activation=f.activation("hidden_act", default="silu"),
        tied=f.flag("tie_word_embeddings", default=False),
    )


def write(c: TransformerConfig) -> dict[str, Any]:
    """The `config.json` of an OLMo or OLMo 2 for our config."""
    raw = write_sizes(c) | {
        "attention_bias": c.attention_bias,
        "hidden_act": activation_name(c.activation),
        "rope_parameters": write_rotary(c),
    }
    own = {"rms_norm_eps": c.norm_eps} if c.norm == "rms" else {"clip_qkv": c.clip_qkv}
    return raw | own


OLMO = Family(
    name="olmo",
    architecture="OlmoForCausalLM",
    read=read,
    write=write,
    prefix="model.",
    rules=(*EMBEDDINGS, *attention(f"{L}.self_attn"), *gated_mlp(f"{L}.mlp")),
    buffers=_llama.BUFFERS,
)
OLMO2 = OLMO._replace(
    name="olmo2",
    architecture="Olmo2ForCausalLM",
    resid_mid=f"{L}.mlp",
    rules=(
        *OLMO.rules,
        rms(f"{L}.self_attn.q_norm", "attn.q_norm"),
        rms(f"{L}.self_attn.k_norm", "attn.k_norm"),
        rms(f"{L}.post_attention_layernorm", "ln1_post"),
        rms(f"{L}.post_feedforward_layernorm", "ln2_post"),
        rms("model.norm", "ln_final"),
    ),
)
