"""Llama (Touvron et al. 2023): rotary positions, RMSNorm, gated SiLU MLP, no biases."""

from ._config import TransformerConfig
from ._family import ModelSpec


def llama(
    d_vocab: int,
    n_ctx: int,
    *,
    n_layers: int = 4,
    d_model: int = 128,
    n_heads: int = 4,
    n_kv_heads: int = 0,
    d_head: int = 0,
    d_mlp: int | None = None,
    rotary_base: float = 10_000.0,
    window: int | None = None,
    tied: bool = False,
) -> TransformerConfig:
    """A Llama of any size; with a `window`, a Mistral.

    `d_mlp` is 8/3 `d_model`, rounded up to 16, unless given.
    """
    return TransformerConfig(
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        d_head=d_head,
        d_mlp=-(-8 * d_model // 48) * 16 if d_mlp is None else d_mlp,
        activation="silu",
        gated=True,
        attention_bias=False,
        mlp_bias=False,
        norm="rms",
        norm_eps=1e-6,
        positions="rotary",
        rotary_base=rotary_base,
        window=window,
        tied=tied,
    )


SPEC = ModelSpec(
    name="llama",
    summary="rotary positions, RMSNorm, gated SiLU MLP, grouped-query attention",
    build=llama,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
