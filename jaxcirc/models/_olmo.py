"""OLMo (Groeneveld et al. 2024): a Llama whose norms have no parameters."""

from ._family import ModelSpec
from ._llama import LLAMA

SPEC = ModelSpec(
    name="olmo",
    summary="a Llama with LayerNorm without parameters",
    build=LLAMA.but(
        "olmo", parts={"norm": "layer_nonparametric"}, defaults={"norm_eps": 1e-5}
    ),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
