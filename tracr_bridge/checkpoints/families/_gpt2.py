"""GPT-2, and the models of it that divide scores by the depth of their layer."""

from typing import Any

from jaxcirc.models import TransformerConfig

from ._family import Family
from ._fields import Fields
from ._rule import norm, rule


def read(f: Fields) -> TransformerConfig:
    """Our config for a GPT-2's `config.json`."""
    f.need("add_cross_attention", False, "a decoder has nothing to attend across to")
    width, heads = f.size("n_embd"), f.size("n_head")
    plain = f.flag("scale_attn_weights", default=True)
    return TransformerConfig(
        d_vocab=f.size("vocab_size"),
        n_ctx=f.size("n_positions", "n_ctx", default=1024),
        n_layers=f.layers("n_layer"),
        d_model=width,
        n_heads=heads,
        d_mlp=f.size("n_inner", default=4 * width, null=4 * width),
        activation=f.activation("activation_function", default="gelu_new"),
        norm_eps=f.number("layer_norm_epsilon", default=1e-5),
        attention_scale=None if plain else 1.0,
        scale_by_inverse_layer=f.flag("scale_attn_by_inverse_layer_idx", default=False),
        tied=f.flag("tie_word_embeddings", default=True),
        init_std=f.number("initializer_range", default=0.02),
    )


def write(c: TransformerConfig) -> dict[str, Any]:
    """A GPT-2's `config.json` for our config."""
    return {
        "vocab_size": c.d_vocab,
        "n_positions": c.n_ctx,
        "n_embd": c.d_model,
        "n_layer": c.n_layers,
        "n_head": c.n_heads,
        "n_inner": c.sizes.d_mlp,
        "activation_function": "gelu_new"
        if c.activation == "gelu_tanh"
        else c.activation,
        "layer_norm_epsilon": c.norm_eps,
        "scale_attn_weights": c.sizes.attention_scale != 1,
        "scale_attn_by_inverse_layer_idx": c.scale_by_inverse_layer,
        "tie_word_embeddings": c.tied,
        "initializer_range": c.sizes.init_std,
    }


_H = "transformer.h.{layer}"
FAMILY = Family(
    name="gpt2",
    architecture="GPT2LMHeadModel",
    read=read,
    write=write,
    prefix="transformer.",
    # GPT-2's linear layers are `Conv1D`, which have inputs first, as ours do.
    rules=(
        rule("transformer.wte.weight", "W_E", "v m -> v m"),
        rule("transformer.wpe.weight", "W_pos", "p m -> p m"),
        *norm(f"{_H}.ln_1", "ln1"),
        rule(
            f"{_H}.attn.c_attn.weight",
            "attn.W_Q attn.W_K attn.W_V",
            "m (w h d) -> w m h d",
        ),
        rule(
            f"{_H}.attn.c_attn.bias", "attn.b_Q attn.b_K attn.b_V", "(w h d) -> w h d"
        ),
        rule(f"{_H}.attn.c_proj.weight", "attn.W_O", "(h d) m -> h d m"),
        rule(f"{_H}.attn.c_proj.bias", "attn.b_O", "m -> m"),
        *norm(f"{_H}.ln_2", "ln2"),
        rule(f"{_H}.mlp.c_fc.weight", "mlp.W_in", "m f -> m f"),
        rule(f"{_H}.mlp.c_fc.bias", "mlp.b_in", "f -> f"),
        rule(f"{_H}.mlp.c_proj.weight", "mlp.W_out", "f m -> f m"),
        rule(f"{_H}.mlp.c_proj.bias", "mlp.b_out", "m -> m"),
        *norm("transformer.ln_f", "ln_final"),
        rule("lm_head.weight", "W_U", "v m -> m v"),
    ),
    block=_H,
    resid_mid=f"{_H}.ln_2",
    buffers=(r"h\.\d+\.attn\.(bias|masked_bias)$",),
)
