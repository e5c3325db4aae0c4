"""Gemma 3 (Gemma team 2025): five local layers to one global, two rotary bases."""

from typing import Any

from ._config import TransformerConfig
from ._family import ModelSpec, variant
from ._gemma import gemma


def parts(config: TransformerConfig) -> dict[str, Any]:
    """What differs from a Gemma."""
    # Every sixth layer sees everything, with wavelengths to match.
    local = [i % 6 < 5 for i in range(config.n_layers)]
    reach = config.window or 512
    return {
        "qk_norm": "head",
        "norm_position": "both",
        "rotary_base": tuple(config.rotary_base if l else 1e6 for l in local),
        "window": tuple(reach if l else None for l in local),
    }


SPEC = ModelSpec(
    name="gemma3",
    summary="a Gemma with normalised queries and keys, five layers in six local",
    build=variant(gemma, parts),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2, "window": 4},
)
