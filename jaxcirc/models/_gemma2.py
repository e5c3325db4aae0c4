"""Gemma 2 (Gemma team 2024): norms around sub-layers, every other layer in a window."""

from ._config import TransformerConfig
from ._family import ModelSpec


def gemma2(
    d_vocab: int,
    n_ctx: int,
    *,
    n_layers: int = 4,
    d_model: int = 128,
    n_heads: int = 4,
    n_kv_heads: int = 0,
    d_head: int = 0,
    d_mlp: int | None = None,
    window: int = 4096,
) -> TransformerConfig:
    """A Gemma 2 of any size; `d_mlp` is eight times `d_model` unless given."""
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
        norm_position="both",
        norm_eps=1e-6,
        positions="rotary",
        window=tuple(None if i % 2 else window for i in range(n_layers)),
        attention_softcap=50.0,
        logit_softcap=30.0,
        embedding_scale=d_model**0.5,
        tied=True,
    )


SPEC = ModelSpec(
    name="gemma2",
    summary="a Gemma with norms on both sides, soft caps and every other layer local",
    build=gemma2,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2, "window": 4},
)
