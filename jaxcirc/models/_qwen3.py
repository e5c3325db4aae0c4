"""Qwen 3 (Yang et al. 2025): a Llama whose heads normalise queries and keys."""

from typing import Any

from ._config import TransformerConfig
from ._family import ModelSpec, variant
from ._llama import llama


def parts(config: TransformerConfig) -> dict[str, Any]:
    """What differs from a Llama."""
    del config
    return {"qk_norm": "head"}


SPEC = ModelSpec(
    name="qwen3",
    summary="a Llama whose heads normalise their queries and keys",
    build=variant(llama, parts),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
