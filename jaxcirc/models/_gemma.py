"""Gemma (Gemma team 2024): scaled tied embeddings, RMSNorm of 1 + w, gated GELU."""

from typing import Any

from ._config import TransformerConfig
from ._family import ModelSpec, variant
from ._llama import llama


def parts(config: TransformerConfig) -> dict[str, Any]:
    """What differs from a Llama."""
    return {
        "activation": "gelu_tanh",
        "norm": "rms_plus_one",
        "embedding_scale": config.d_model**0.5,
        "tied": True,
    }


gemma = variant(llama, parts)
SPEC = ModelSpec(
    name="gemma",
    summary="a Llama with scaled tied embeddings, RMSNorm of 1 + w and a gated GELU",
    build=gemma,
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 1},
)
