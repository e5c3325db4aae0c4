"""OLMo (Groeneveld et al. 2024): LayerNorm without parameters, gated SiLU MLP."""

from ._config import TransformerConfig
from ._family import ModelSpec


def olmo(
    d_vocab: int,
    n_ctx: int,
    *,
    n_layers: int = 4,
    d_model: int = 128,
    n_heads: int = 4,
    n_kv_heads: int = 0,
    d_mlp: int | None = None,
    clip_qkv: float | None = None,
    tied: bool = False,
) -> TransformerConfig:
    """An OLMo of any size; `d_mlp` is 8/3 `d_model`, rounded up to 16, unless given."""
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
        clip_qkv=clip_qkv,
        norm="layer_nonparametric",
        positions="rotary",
        tied=tied,
    )


SPEC = ModelSpec(
    name="olmo",
    summary="rotary positions, LayerNorm without parameters, gated SiLU MLP",
    build=olmo,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4},
)
