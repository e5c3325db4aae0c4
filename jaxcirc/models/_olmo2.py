"""OLMo 2 (OLMo team 2024): norms after each sub-layer, queries and keys normalised."""

from ._config import TransformerConfig
from ._family import ModelSpec


def olmo2(
    d_vocab: int,
    n_ctx: int,
    *,
    n_layers: int = 4,
    d_model: int = 128,
    n_heads: int = 4,
    n_kv_heads: int = 0,
    d_mlp: int | None = None,
    rotary_base: float = 500_000.0,
) -> TransformerConfig:
    """An OLMo 2 of any size; `d_mlp` is 8/3 `d_model`, 16-rounded if not given."""
    return TransformerConfig(
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        d_mlp=-(-8 * d_model // 48) * 16 if d_mlp is None else d_mlp,
        activation="silu",
        gated=True,
        attention_bias=False,
        mlp_bias=False,
        qk_norm="all",
        norm="rms",
        norm_position="after",
        norm_eps=1e-6,
        positions="rotary",
        rotary_base=rotary_base,
    )


SPEC = ModelSpec(
    name="olmo2",
    summary="rotary positions, RMSNorm after each sub-layer and of queries and keys",
    build=olmo2,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
