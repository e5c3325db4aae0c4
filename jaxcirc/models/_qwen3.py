"""Qwen 3 (Yang et al. 2025): a Llama whose heads normalise queries and keys."""

from ._family import ModelSpec
from ._llama import LLAMA

SPEC = ModelSpec(
    name="qwen3",
    summary="a Llama whose heads normalise their queries and keys",
    build=LLAMA.but("qwen3", parts={"qk_norm": "head"}),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
