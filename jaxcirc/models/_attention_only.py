"""Attention-only transformers (Elhage et al. 2021)."""

from typing import Literal

from ._config import TransformerConfig
from ._family import ModelSpec


def attention_only(
    d_vocab: int,
    n_ctx: int,
    *,
    n_layers: int = 2,
    d_model: int = 64,
    n_heads: int = 4,
    d_head: int = 0,
    norm: Literal["layer", "rms", "none"] = "layer",
    positions: Literal["learned", "rotary", "none"] = "learned",
) -> TransformerConfig:
    """Attention layers on a residual stream, without MLPs."""
    return TransformerConfig(
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        n_layers=n_layers,
        d_model=d_model,
        n_heads=n_heads,
        d_head=d_head,
        norm=norm,
        positions=positions,
    )


SPEC = ModelSpec(
    name="attention_only",
    summary="attention layers without MLPs; two are enough for induction heads",
    build=attention_only,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 2},
)
