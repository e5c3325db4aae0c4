"""OLMo 2 (OLMo team 2024): a Llama with norms after, and of queries and keys."""

from typing import Any

from ._config import TransformerConfig
from ._family import ModelSpec, variant
from ._llama import llama


def parts(config: TransformerConfig) -> dict[str, Any]:
    """What differs from a Llama."""
    del config
    return {"norm_position": "after", "qk_norm": "all"}


SPEC = ModelSpec(
    name="olmo2",
    summary="a Llama with RMSNorm after each sub-layer and of queries and keys",
    build=variant(llama, parts),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
