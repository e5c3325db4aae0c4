"""GPT-NeoX: Pythia and PolyPythias."""

from typing import Any

from jaxcirc.models import TransformerConfig

from ._family import Family
from ._fields import Fields, activation_name
from ._rotary import parse_rotary, rotary_options, write_rotary
from ._rule import norm, rule


def read(f: Fields) -> TransformerConfig:
    """Our config for a GPT-NeoX's `config.json`, of transformers 4 or 5."""
    path, options = rotary_options(f)
    base = f.positive("rotary_emb_base", default=10_000.0)
    share = f.positive("rotary_pct", default=0.25)
    rotary = {"rope_theta": base, "partial_rotary_factor": share} | options
    # Their newer names count within `rope_parameters` alone; beside it, transformers
    # passes over them.
    for name, value in rotary.items():
        if name in ("rope_theta", "partial_rotary_factor"):
            f.need(name, value, f"transformers reads {value} from other keys")
    return TransformerConfig(
        d_vocab=f.size("vocab_size"),
        n_ctx=f.size("max_position_embeddings", default=2048),
        n_layers=f.layers("num_hidden_layers"),
        d_model=f.size("hidden_size"),
        n_heads=f.size("num_attention_heads"),
        d_mlp=f.size("intermediate_size"),
        activation=f.activation("hidden_act", default="gelu"),
        attention_bias=f.flag("attention_bias", default=True),
        norm_eps=f.number("layer_norm_eps", default=1e-5),
        parallel=f.flag("use_parallel_residual", default=True),
        tied=f.flag("tie_word_embeddings", default=False),
        init_std=f.number("initializer_range", default=0.02),
        **parse_rotary(f, path, rotary, whole=False),
    )


def write(c: TransformerConfig) -> dict[str, Any]:
    """A GPT-NeoX's `config.json` for our config."""
    return {
        "vocab_size": c.d_vocab,
        "max_position_embeddings": c.n_ctx,
        "num_hidden_layers": c.n_layers,
        "hidden_size": c.d_model,
        "num_attention_heads": c.n_heads,
        "intermediate_size": c.sizes.d_mlp,
        "hidden_act": activation_name(c.activation),
        "attention_bias": c.attention_bias,
        "layer_norm_eps": c.norm_eps,
        "use_parallel_residual": c.parallel,
        "rope_parameters": write_rotary(c)
        | {"partial_rotary_factor": c.rotary_fraction},
        "tie_word_embeddings": c.tied,
        "initializer_range": c.sizes.init_std,
    }


_L = "gpt_neox.layers.{layer}"
FAMILY = Family(
    name="gpt_neox",
    architecture="GPTNeoXForCausalLM",
    read=read,
    write=write,
    prefix="gpt_neox.",
    in_memory={"lm_head.weight": "embed_out.weight"},
    # Queries, keys and values are interleaved head by head.
    rules=(
        rule("gpt_neox.embed_in.weight", "W_E", "v m -> v m"),
        *norm(f"{_L}.input_layernorm", "ln1"),
        rule(
            f"{_L}.attention.query_key_value.weight",
            "attn.W_Q attn.W_K attn.W_V",
            "(h w d) m -> w m h d",
        ),
        rule(
            f"{_L}.attention.query_key_value.bias",
            "attn.b_Q attn.b_K attn.b_V",
            "(h w d) -> w h d",
        ),
        rule(f"{_L}.attention.dense.weight", "attn.W_O", "m (h d) -> h d m"),
        rule(f"{_L}.attention.dense.bias", "attn.b_O", "m -> m"),
        *norm(f"{_L}.post_attention_layernorm", "ln2"),
        rule(f"{_L}.mlp.dense_h_to_4h.weight", "mlp.W_in", "f m -> m f"),
        rule(f"{_L}.mlp.dense_h_to_4h.bias", "mlp.b_in", "f -> f"),
        rule(f"{_L}.mlp.dense_4h_to_h.weight", "mlp.W_out", "m f -> f m"),
        rule(f"{_L}.mlp.dense_4h_to_h.bias", "mlp.b_out", "m -> m"),
        *norm("gpt_neox.final_layer_norm", "ln_final"),
        rule("embed_out.weight", "W_U", "v m -> m v"),
    ),
    block=_L,
    resid_mid=f"{_L}.post_attention_layernorm",
    buffers=(r"attention\.(bias|masked_bias|rotary_emb\.inv_freq)$",),
)
