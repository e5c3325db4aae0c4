"""OLMo 2 (OLMo team 2024): a Llama with norms after, and of queries and keys."""

from ._family import ModelSpec
from ._llama import LLAMA

SPEC = ModelSpec(
    name="olmo2",
    summary="a Llama with RMSNorm after each sub-layer and of queries and keys",
    build=LLAMA.but("olmo2", parts={"norm_position": "after", "qk_norm": "all"}),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
