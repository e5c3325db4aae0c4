"""Gemma 3 (Gemma team 2025): five local layers to one global, two rotary bases."""

from ._config import TransformerConfig
from ._family import ModelSpec


def gemma3(
    d_vocab: int,
    n_ctx: int,
    *,
    n_layers: int = 4,
    d_model: int = 128,
    n_heads: int = 4,
    n_kv_heads: int = 0,
    d_head: int = 0,
    d_mlp: int | None = None,
    window: int = 512,
) -> TransformerConfig:
    """A Gemma 3 of any size; `d_mlp` is six times `d_model` unless given."""
    return TransformerConfig(
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        d_head=d_head,
        d_mlp=6 * d_model if d_mlp is None else d_mlp,
        activation="gelu_tanh",
        gated=True,
        attention_bias=False,
        mlp_bias=False,
        qk_norm="head",
        norm="rms_plus_one",
        norm_position="both",
        norm_eps=1e-6,
        positions="rotary",
        rotary_base=tuple(1e4 if i % 6 < 5 else 1e6 for i in range(n_layers)),
        window=tuple(window if i % 6 < 5 else None for i in range(n_layers)),
        embedding_scale=d_model**0.5,
        tied=True,
    )


SPEC = ModelSpec(
    name="gemma3",
    summary="a Gemma with normalised queries and keys, five layers in six local",
    build=gemma3,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2, "window": 4},
)
