"""The decoder of pico-train: a Llama that rotates neighbouring dimensions."""

from typing import Any

from ._config import TransformerConfig
from ._family import ModelSpec, variant
from ._llama import llama


def parts(config: TransformerConfig) -> dict[str, Any]:
    """What differs from a Llama."""
    del config
    return {"rotary_pairing": "interleaved"}


SPEC = ModelSpec(
    name="pico",
    summary="a Llama that rotates neighbouring dimensions, as pico-train has it",
    build=variant(llama, parts),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
