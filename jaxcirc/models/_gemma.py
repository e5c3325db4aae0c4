"""Gemma (Gemma team 2024): scaled tied embeddings, RMSNorm of 1 + w, gated GELU."""

from ._config import TransformerConfig
from ._family import ModelSpec


def gemma(
    d_vocab: int,
    n_ctx: int,
    *,
    n_layers: int = 4,
    d_model: int = 128,
    n_heads: int = 4,
    n_kv_heads: int = 0,
    d_head: int = 0,
    d_mlp: int | None = None,
) -> TransformerConfig:
    """A Gemma of any size; `d_mlp` is eight times `d_model` unless given."""
    return TransformerConfig(
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        d_head=d_head,
        d_mlp=8 * d_model if d_mlp is None else d_mlp,
        activation="gelu_tanh",
        gated=True,
        attention_bias=False,
        mlp_bias=False,
        norm="rms_plus_one",
        norm_eps=1e-6,
        positions="rotary",
        embedding_scale=d_model**0.5,
        tied=True,
    )


SPEC = ModelSpec(
    name="gemma",
    summary="scaled tied embeddings, RMSNorm of 1 + w, gated GELU MLP",
    build=gemma,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 1},
)
