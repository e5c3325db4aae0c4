"""Gemma 2 (Gemma team 2024): norms around sub-layers, every other layer in a window."""

from typing import Any

from ._config import TransformerConfig
from ._family import ModelSpec, variant
from ._gemma import gemma


def parts(config: TransformerConfig) -> dict[str, Any]:
    """What differs from a Gemma."""
    reach = config.window or 4096
    return {
        "norm_position": "both",
        "window": tuple(None if i % 2 else reach for i in range(config.n_layers)),
        "attention_softcap": 50.0,
        "logit_softcap": 30.0,
    }


SPEC = ModelSpec(
    name="gemma2",
    summary="a Gemma with norms on both sides, soft caps and every other layer local",
    build=variant(gemma, parts),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2, "window": 4},
)
