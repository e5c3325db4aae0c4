"""Pico's decoder, as pico-train saves it."""

from typing import Any

from jaxcirc.models import TransformerConfig

from ._family import Family
from ._fields import Fields
from ._llama import rms
from ._rule import attention, gated_mlp, rule


def read(f: Fields) -> TransformerConfig:
    """Our config for a Pico's `config.json`, or `model` in `training_config.yaml`."""
    # It is of training, and is asked for so that it is not told as left over.
    f.get("batch_size", default=None, null=None)
    return TransformerConfig(
        d_vocab=f.size("vocab_size"),
        n_ctx=f.size("max_seq_len"),
        n_layers=f.layers("n_layers"),
        d_model=f.size("d_model"),
        n_heads=f.size("attention_n_heads"),
        n_kv_heads=f.size("attention_n_kv_heads"),
        d_mlp=f.size("activation_hidden_dim"),
        activation="silu",
        gated=True,
        attention_bias=False,
        mlp_bias=False,
        norm="rms",
        norm_eps=f.number("norm_eps", default=1e-6),
        positions="rotary",
        rotary_base=f.number("position_emb_theta", default=10_000.0),
        rotary_pairing="interleaved",
    )


def write(c: TransformerConfig) -> dict[str, Any]:
    """A Pico's `config.json` for our config."""
    return {
        "vocab_size": c.d_vocab,
        "max_seq_len": c.n_ctx,
        "n_layers": c.n_layers,
        "d_model": c.d_model,
        "attention_n_heads": c.n_heads,
        "attention_n_kv_heads": c.sizes.n_kv_heads,
        "activation_hidden_dim": c.sizes.d_mlp,
        "norm_eps": c.norm_eps,
        "position_emb_theta": c.rotary_base,
    }


_L = "pico_decoder.layers.{layer}"
FAMILY = Family(
    name="pico_decoder",
    architecture="PicoDecoderHF",
    read=read,
    write=write,
    prefix="pico_decoder.",
    rules=(
        rule("pico_decoder.embedding_proj.weight", "W_E", "v m -> v m"),
        rms(f"{_L}.attention_norm", "ln1"),
        *attention(f"{_L}.attention"),
        rms(f"{_L}.swiglu_norm", "ln2"),
        *gated_mlp(f"{_L}.swiglu", gate="w_0", up="w_1", down="w_2"),
        rms("pico_decoder.output_norm", "ln_final"),
        rule("pico_decoder.de_embedding_proj.weight", "W_U", "v m -> m v"),
    ),
)
