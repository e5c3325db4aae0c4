"""OLMo (Groeneveld et al. 2024): a Llama whose norms have no parameters."""

from typing import Any

from ._config import TransformerConfig
from ._family import ModelSpec, variant
from ._llama import llama


def parts(config: TransformerConfig) -> dict[str, Any]:
    """What differs from a Llama."""
    del config
    return {"norm": "layer_nonparametric", "norm_eps": 1e-5}


SPEC = ModelSpec(
    name="olmo",
    summary="a Llama with LayerNorm without parameters",
    build=variant(llama, parts),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
