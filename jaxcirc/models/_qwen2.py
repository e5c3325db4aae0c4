"""Qwen 2 (Yang et al. 2024): a Llama with biases on queries, keys and values."""

from typing import Any

from ._config import TransformerConfig
from ._family import ModelSpec, variant
from ._llama import llama


def parts(config: TransformerConfig) -> dict[str, Any]:
    """What differs from a Llama."""
    del config
    return {"attention_bias": "qkv"}


SPEC = ModelSpec(
    name="qwen2",
    summary="a Llama with biases on queries, keys and values",
    build=variant(llama, parts),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
