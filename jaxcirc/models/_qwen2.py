"""Qwen 2 (Yang et al. 2024): a Llama with biases on queries, keys and values."""

from ._family import ModelSpec
from ._llama import LLAMA

SPEC = ModelSpec(
    name="qwen2",
    summary="a Llama with biases on queries, keys and values",
    build=LLAMA.but("qwen2", parts={"attention_bias": "qkv"}),
    tiny={"n_layers": 2, "d_model": 16, "n_heads": 4, "n_kv_heads": 2},
)
